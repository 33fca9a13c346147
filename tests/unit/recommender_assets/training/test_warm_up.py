from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training import coordinate_descent, exact_solver, rating_svd
from recommender_assets.training.trainer import train
from recommender_assets.training.warm_up import warm_up
from tests.matrices import default_settings, random_matrix


def compiled_signatures() -> dict[str, int]:
    modules = (coordinate_descent, exact_solver, rating_svd)
    kernels = {
        name: value for module in modules for name, value in vars(module).items() if hasattr(value, "signatures")
    }
    return {name: len(kernel.signatures) for name, kernel in kernels.items()}


def test_training_after_the_warm_up_compiles_nothing():
    warm_up()
    before = compiled_signatures()
    settings = default_settings(
        svd=SvdSettings(factors=3, epochs=1, ranking_iterations=1),
        nmf=NmfSettings(factors=3, iterations=1, ranking_iterations=1),
    )

    for algorithm in ("svd", "nmf"):
        train(algorithm, random_matrix(), settings)

    assert before["_solve_rows"] == 1
    assert compiled_signatures() == before
