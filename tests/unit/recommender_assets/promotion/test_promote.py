from pathlib import Path

import pytest

from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.promotion.contest import Contest, latest_decision, save_contest
from recommender_assets.promotion.policy import Standing
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import read_pointer
from recommender_serving.engine.factor_model import Position, write_model
from tests.factories import make_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def standing(version: str, rmse: float) -> Standing:
    metrics = {"rmse": rmse, "catalogue_ndcg_at_10": 0.35}
    floors = {"rmse": {"item_mean": 0.98}, "catalogue_ndcg_at_10": {"popularity": 0.2}}
    return Standing(version=version, algorithm=version[:3], metrics=metrics, floors=floors)


def trained(settings: Settings, *versions: str) -> None:
    from recommender_assets.promotion.registry import Registry

    for version in versions:
        directory = candidate_directory(settings.root, version)
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, make_model(version=version, algorithm=version[:3]))
        Registry(settings).log_candidate(directory, version, {"factors": 4}, {"rating_rmse": [1.0, 0.9]}, None)


def contest(settings: Settings, candidates: dict[str, float], champion: tuple[str, float] | None = None) -> None:
    save_contest(
        settings.root,
        Contest(
            position=Position(),
            hold_out=5,
            candidates=tuple(standing(version, rmse) for version, rmse in candidates.items()),
            champion=standing(*champion) if champion else None,
        ),
    )


def aliases(settings: Settings) -> dict[str, dict[str, str]]:
    """Model version by alias, for each registered model."""
    from recommender_assets.promotion.registry import REGISTERED_MODELS, VERSION_TAG, Registry

    client = Registry(settings).client
    found = {}
    for name in REGISTERED_MODELS.values():
        registered = client.get_registered_model(name).aliases
        found[name] = {a: client.get_model_version(name, number).tags[VERSION_TAG] for a, number in registered.items()}
    return found


def test_from_the_first_champion_to_its_successor(settings: Settings) -> None:
    from recommender_assets.promotion.promote import StaleContestError, promote
    from recommender_assets.promotion.registry import VERSION_TAG, Registry

    trained(settings, "svd-1", "nmf-1")
    contest(settings, {"svd-1": 0.87, "nmf-1": 0.90})
    assert promote(settings).decision.champion == "svd-1"
    assert aliases(settings) == {
        "Recommendation_SVD": {"production": "svd-1", "staging": "svd-1"},
        "Recommendation_NMF": {"staging": "nmf-1"},
    }

    trained(settings, "svd-2", "nmf-2")
    contest(settings, {"svd-2": 0.88, "nmf-2": 0.86}, ("svd-1", 0.87))
    outcome = promote(settings)
    assert outcome.pointer is not None
    assert (outcome.pointer.version, outcome.pointer.predecessor) == ("nmf-2", "svd-1")
    assert aliases(settings) == {
        "Recommendation_SVD": {"staging": "svd-2"},
        "Recommendation_NMF": {"production": "nmf-2", "staging": "nmf-2"},
    }
    client = Registry(settings).client
    (loser,) = client.search_model_versions(f"name = 'Recommendation_SVD' and tags.`{VERSION_TAG}` = 'svd-2'")
    assert loser.tags["decision"] == "staging"
    assert "rmse 0.8800 gains -0.0100 on champion svd-1" in loser.tags["reason"]
    assert loser.tags["rmse"] == "0.880000"
    latest = latest_decision(settings.root)
    assert latest is not None
    assert latest.decision == outcome.decision

    assert promote(settings).pointer == outcome.pointer  # a repetition changes nothing
    assert aliases(settings)["Recommendation_NMF"]["production"] == "nmf-2"

    contest(settings, {"svd-2": 0.85}, ("svd-1", 0.87))
    with pytest.raises(StaleContestError, match="nmf-2 was not measured"):
        promote(settings)
    assert read_pointer(settings.root) == outcome.pointer


def test_a_candidate_is_logged_with_curves_floors_and_files(settings: Settings) -> None:
    from recommender_assets.promotion.registry import Registry

    trained(settings, "svd-1")
    registry = Registry(settings)
    registry.log_standing(standing("svd-1", 0.87))
    (run,) = registry.client.search_runs([registry.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"factors": "4"}
    assert run.data.metrics["rmse"] == 0.87
    assert run.data.metrics["floor.rmse.item_mean"] == 0.98
    curve = registry.client.get_metric_history(run.info.run_id, "rating_rmse")
    assert [(point.step, point.value) for point in curve] == [(0, 1.0), (1, 0.9)]
    files = {file.path for file in registry.client.list_artifacts(run.info.run_id, "model")}
    assert "model/manifest.json" in files
    assert (settings.root / "mlflow" / "artifacts").is_dir()
    with pytest.raises(LookupError, match="svd-9"):
        registry.log_standing(standing("svd-9", 0.9))
