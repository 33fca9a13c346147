"""Whether a model directory holds a model that may be served."""

from pathlib import Path

from recommender_serving.engine.factor_model import DamagedModelError, read_model


def factor_problems(directory: Path) -> list[str]:
    """What is wrong with a model directory: damage, numbers that are not finite, a head that learned nothing.

    `read_model` verifies checksums, shapes, finiteness and signs; an all-zero head passes those and is found here.
    """
    try:
        model = read_model(directory)
    except DamagedModelError as error:
        return [str(error)]
    heads = {"rating head": model.rating.item_factors, "ranking head": model.ranking.item_factors}
    return [f"{name}: all item factors are zero" for name, factors in heads.items() if not factors.any()]
