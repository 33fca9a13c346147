from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recommender_assets.promotion.policy import Decision, decide
from recommender_assets.promotion.standing import Standing
from recommender_assets.settings import PromotionSettings, Settings, load_settings
from recommender_serving.engine.factor_model import write_model
from tests.contests import contest, standing
from tests.factories import make_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def decision(champion: str | None, *candidates: tuple[str, float]) -> tuple[list[Standing], Decision]:
    field = [standing(*candidate) for candidate in candidates]
    current = standing(champion, 0.9) if champion else None
    return field, decide(contest(field, current), PromotionSettings())


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path_factory.mktemp("registry"))})


@pytest.fixture(scope="module")
def registry(settings: Settings) -> Any:
    """One sqlite store for the module: creating its tables takes seconds."""
    from recommender_assets.promotion.registry import Registry

    return Registry(settings)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "model"
    write_model(directory, make_model())
    return directory


@pytest.fixture
def clean(registry: Any) -> Iterator[None]:
    """Leaves no registered models, so that tests do not see each other's."""
    yield
    for model in registry.client.search_registered_models():
        registry.client.delete_registered_model(model.name)


def log(registry: Any, directory: Path, *versions: str, parent: str | None = None) -> list[str]:
    from tests.trainings import log_training

    return [log_training(registry, directory, version, parent_run_id=parent) for version in versions]


def aliases(registry: Any, name: str) -> dict[str, str]:
    from recommender_assets.promotion.registry import VERSION_TAG

    found = registry.client.get_registered_model(name).aliases
    return {alias: registry.client.get_model_version(name, number).tags[VERSION_TAG] for alias, number in found.items()}


def tags(registry: Any, name: str, version: str) -> dict[str, str]:
    from recommender_assets.promotion.registry import VERSION_TAG

    (found,) = registry.client.search_model_versions(f"name = '{name}' and tags.`{VERSION_TAG}` = '{version}'")
    return dict(found.tags)


def test_the_experiment_is_found_again_and_keeps_files_beside_the_store(settings: Settings, registry: Any) -> None:
    from recommender_assets.promotion.registry import Registry

    assert Registry(settings).experiment_id == registry.experiment_id
    experiment = registry.client.get_experiment(registry.experiment_id)
    assert experiment.name == settings.mlflow.experiment
    assert experiment.artifact_location == (settings.root / "mlflow" / "artifacts").as_uri()


def test_texts_are_kept_with_the_run_of_their_model(registry: Any, directory: Path) -> None:
    (run_id,) = log(registry, directory, "svd-text")
    registry.log_text("svd-text", "<p>figures</p>", "evaluation/report.html")
    assert [file.path for file in registry.client.list_artifacts(run_id, "evaluation")] == ["evaluation/report.html"]


def test_ends_of_intervals_stand_in_the_run(registry: Any, directory: Path) -> None:
    (run_id,) = log(registry, directory, "svd-interval")
    figures = standing("svd-interval", 0.87)
    registry.log_standing(msgspec.structs.replace(figures, intervals={"rmse": (0.86, 0.89)}))
    found = registry.client.get_run(run_id).data.metrics
    assert (found["interval.rmse.low"], found["interval.rmse.high"]) == (0.86, 0.89)


def test_figures_go_to_the_run_of_their_model_and_to_no_other(registry: Any, directory: Path) -> None:
    one, other = log(registry, directory, "svd-one", "svd-other")
    registry.log_standing(standing("svd-one", 0.87))
    found = registry.client.get_run(one).data.metrics
    assert (found["rmse"], found["catalogue_ndcg_at_10"]) == (0.87, 0.35)
    assert (found["floor.rmse.item_mean"], found["floor.rmse.global_mean"]) == (0.98, 1.05)
    assert found["floor.catalogue_ndcg_at_10.popularity"] == 0.2
    assert set(registry.client.get_run(other).data.metrics) == {"rating_rmse"}


def test_decisions_move_the_aliases_and_say_why(registry: Any, directory: Path, clean: None) -> None:
    runs = log(registry, directory, "svd-1", "nmf-1", "svd-2", "nmf-2")
    registry.record_decision(*decision(None, ("svd-1", 0.87), ("nmf-1", 0.86)), "d1")
    assert aliases(registry, "Recommendation_NMF") == {"production": "nmf-1"}
    assert aliases(registry, "Recommendation_SVD") == {"staging": "svd-1"}
    assert tags(registry, "Recommendation_SVD", "svd-1")["reason"] == "nmf-1 is better"
    winner = tags(registry, "Recommendation_NMF", "nmf-1")
    assert (winner["decision"], winner["rmse"]) == ("promoted", "0.860000")
    assert winner["reason"] == "first champion, beats its floors: rmse 0.8600"

    registry.record_decision(*decision("nmf-1", ("svd-2", 0.85), ("nmf-2", 0.95)), "d")
    assert aliases(registry, "Recommendation_SVD") == {"production": "svd-2"}
    assert aliases(registry, "Recommendation_NMF") == {"staging": "nmf-2"}
    loser = tags(registry, "Recommendation_NMF", "nmf-2")
    assert loser["decision"] == "staging"
    assert "gains -0.0500 (-0.0500 to -0.0500) on champion nmf-1" in loser["reason"]
    versions = registry.client.search_model_versions("name = 'Recommendation_SVD'")
    assert {version.run_id for version in versions} == {runs[0], runs[2]}
    assert all(version.source.endswith("/artifacts/model") for version in versions)


def test_recording_twice_is_recording_once(registry: Any, directory: Path, clean: None) -> None:
    log(registry, directory, "svd-3")
    field = decision(None, ("svd-3", 0.87))
    registry.record_decision(*field, "d")
    before = tags(registry, "Recommendation_SVD", "svd-3"), aliases(registry, "Recommendation_SVD")
    registry.record_decision(*field, "d")
    assert (tags(registry, "Recommendation_SVD", "svd-3"), aliases(registry, "Recommendation_SVD")) == before
    assert len(registry.client.search_model_versions("name = 'Recommendation_SVD'")) == 1


def test_without_a_champion_nothing_is_in_production(registry: Any, directory: Path, clean: None) -> None:
    log(registry, directory, "svd-4")
    field, outcome = decision(None, ("svd-4", 1.2))
    registry.record_decision(field, outcome, "d")
    assert aliases(registry, "Recommendation_SVD") == {"staging": "svd-4"}
    assert "does not beat its floor item_mean" in tags(registry, "Recommendation_SVD", "svd-4")["reason"]


def test_a_rollback_moves_production_and_says_why(registry: Any, directory: Path, clean: None) -> None:
    log(registry, directory, "svd-5", "svd-6", "nmf-6")
    registry.record_decision(*decision(None, ("svd-5", 0.87)), "d5")
    registry.record_decision(*decision("svd-5", ("svd-6", 0.80), ("nmf-6", 0.85)), "d6")
    assert registry.production() == ["svd-6"]
    registry.record_rollback("svd-5", "svd-6", "answers were wrong", "d7")
    assert aliases(registry, "Recommendation_SVD") == {"production": "svd-5"}
    assert aliases(registry, "Recommendation_NMF") == {"staging": "nmf-6"}
    found = tags(registry, "Recommendation_SVD", "svd-6")
    assert (found["decision"], found["reason"], found["decision_id"]) == ("rolled back", "answers were wrong", "d7")
    registry.record_rollback("nmf-6", "svd-5", "", "d8")
    assert aliases(registry, "Recommendation_SVD") == {}
    assert aliases(registry, "Recommendation_NMF") == {"production": "nmf-6"}
    assert registry.production() == ["nmf-6"]


def test_a_model_without_a_run_is_not_registered(registry: Any, clean: None) -> None:
    with pytest.raises(LookupError, match="MLflow has no run of model svd-unknown"):
        registry.record_decision(*decision(None, ("svd-unknown", 0.87)), "d")
    assert registry.client.search_model_versions("name = 'Recommendation_SVD'") == []


def test_a_registered_model_explains_itself(registry: Any, directory: Path, clean: None) -> None:
    log(registry, directory, "svd-told")
    field, outcome = decision(None, ("svd-told", 0.87))
    registry.log_standing(field[0])
    registry.record_decision(field, outcome, "decision-1")
    model = registry.client.get_registered_model("Recommendation_SVD")
    assert model.description.startswith("Recommendations by SVD: a rating head predicts stars")
    assert 'load_model("models:/Recommendation_SVD@production")' in model.description
    version = registry.client.get_model_version_by_alias("Recommendation_SVD", "production")
    assert version.description.startswith("svd-told: rmse 0.8700, catalogue_ndcg_at_10 ")
    assert 'up to offsets {"0": ' in version.description
