import os
from pathlib import Path

import pytest

from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.promotion.contest import save_contest
from recommender_assets.promotion.decisions import latest_decision
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import read_pointer
from recommender_serving.engine.factor_model import DamagedModelError, write_model
from tests import contests
from tests.contests import standing
from tests.factories import make_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def trained(settings: Settings, *versions: str) -> None:
    from recommender_assets.promotion.registry import Registry
    from tests.trainings import log_training

    for version in versions:
        directory = candidate_directory(settings.root, version)
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, make_model(version=version, algorithm=version[:3]))
        log_training(Registry(settings), directory, version)


def contest(settings: Settings, candidates: dict[str, float], champion: tuple[str, float] | None = None) -> None:
    field = [standing(version, rmse) for version, rmse in candidates.items()]
    save_contest(settings.root, contests.contest(field, standing(*champion) if champion else None))


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
        "Recommendation_SVD": {"production": "svd-1"},
        "Recommendation_NMF": {"staging": "nmf-1"},
    }

    trained(settings, "svd-2", "nmf-2")
    contest(settings, {"svd-2": 0.88, "nmf-2": 0.86}, ("svd-1", 0.87))
    outcome = promote(settings)
    assert outcome.pointer is not None
    assert (outcome.pointer.version, outcome.pointer.predecessor) == ("nmf-2", "svd-1")
    assert aliases(settings) == {
        "Recommendation_SVD": {"staging": "svd-2"},
        "Recommendation_NMF": {"production": "nmf-2"},
    }
    client = Registry(settings).client
    (loser,) = client.search_model_versions(f"name = 'Recommendation_SVD' and tags.`{VERSION_TAG}` = 'svd-2'")
    assert loser.tags["decision"] == "staging"
    assert "rmse 0.8800 gains -0.0100 (-0.0100 to -0.0100) on champion svd-1" in loser.tags["reason"]
    assert loser.tags["rmse"] == "0.880000"
    assert loser.tags["decision_id"] == outcome.row.decision_id
    assert latest_decision(settings.root) == outcome.row

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
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.9)]
    files = {file.path for file in registry.client.list_artifacts(run.info.run_id, "model")}
    assert "model/data" in files
    assert (settings.root / "mlflow" / "artifacts").is_dir()
    with pytest.raises(LookupError, match="svd-9"):
        registry.log_standing(standing("svd-9", 0.9))


class Recorder:
    """Stands in for MLflow where only the order of steps matters; notes the pointer it finds."""

    found: list[str | None]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def record_decision(self, *_: object) -> None:
        pointer = read_pointer(self.settings.root)
        self.found.append(pointer.version if pointer else None)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(Recorder, "found", [], raising=False)
    monkeypatch.setattr("recommender_assets.promotion.promote.Registry", Recorder)
    return Recorder


def on_disk(settings: Settings, *versions: str) -> None:
    for version in versions:
        directory = candidate_directory(settings.root, version)
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, make_model(version=version, algorithm=version[:3]))


def test_the_pointer_is_set_before_the_aliases(settings: Settings, recorder: type[Recorder]) -> None:
    from recommender_assets.promotion.promote import promote

    on_disk(settings, "svd-1")
    contest(settings, {"svd-1": 0.87})
    promote(settings)
    assert recorder.found == ["svd-1"]


def test_a_failing_registry_costs_no_champion_and_a_repetition_completes(
    settings: Settings, recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recommender_assets.promotion.promote import promote

    def down(*_: object) -> None:
        raise ConnectionError("MLflow is down")

    on_disk(settings, "svd-1", "nmf-1")
    contest(settings, {"svd-1": 0.87, "nmf-1": 0.9})
    with monkeypatch.context() as patch:
        patch.setattr(recorder, "record_decision", down)
        with pytest.raises(ConnectionError):
            promote(settings)
    published = read_pointer(settings.root)
    assert published is not None
    assert latest_decision(settings.root) is None
    outcome = promote(settings)
    assert outcome.pointer == published
    latest = latest_decision(settings.root)
    assert latest == outcome.row


def test_a_refused_candidate_is_written_down_and_changes_nothing(settings: Settings, recorder: type[Recorder]) -> None:
    from recommender_assets.promotion.promote import promote

    on_disk(settings, "svd-1", "svd-2")
    contest(settings, {"svd-1": 0.87})
    before = promote(settings).pointer
    contest(settings, {"svd-2": 0.88}, ("svd-1", 0.87))
    outcome = promote(settings)
    assert not outcome.decision.promoted
    assert outcome.pointer == before == read_pointer(settings.root)
    latest = latest_decision(settings.root)
    assert latest is not None
    assert (latest.kind, latest.champion, latest.contenders[0].version) == ("refusal", "svd-1", "svd-2")


def test_nobody_fit_is_a_decision_without_a_champion(settings: Settings, recorder: type[Recorder]) -> None:
    from recommender_assets.promotion.promote import promote

    on_disk(settings, "svd-1")
    contest(settings, {"svd-1": 1.2})
    outcome = promote(settings)
    assert (outcome.pointer, outcome.decision.champion, read_pointer(settings.root)) == (None, None, None)
    assert latest_decision(settings.root) is not None


def test_a_damaged_winner_is_neither_published_nor_registered(settings: Settings, recorder: type[Recorder]) -> None:
    from recommender_assets.promotion.promote import promote

    on_disk(settings, "svd-1")
    (candidate_directory(settings.root, "svd-1") / "popularity.npy").unlink()
    contest(settings, {"svd-1": 0.87})
    with pytest.raises(DamagedModelError, match="popularity"):
        promote(settings)
    assert recorder.found == []
    assert read_pointer(settings.root) is None
    assert latest_decision(settings.root) is None


def test_old_models_go_with_the_promotion(settings: Settings, recorder: type[Recorder]) -> None:
    from recommender_assets.promotion.promote import promote

    champion: tuple[str, float] | None = None
    for number in range(10):
        version, rmse = f"svd-{number}", 0.95 - number / 100
        on_disk(settings, version)
        os.utime(candidate_directory(settings.root, version), (1_000 + number, 1_000 + number))
        contest(settings, {version: rmse}, champion)
        promote(settings)
        champion = version, rmse
    for folder, kept in (("models", 4), ("champion/versions", 8)):
        found = sorted(path.name for path in (settings.root / folder).iterdir())
        assert found == [f"svd-{number}" for number in range(10 - kept, 10)]
    pointer = read_pointer(settings.root)
    assert pointer is not None
    assert (pointer.version, pointer.predecessor) == ("svd-9", "svd-8")
