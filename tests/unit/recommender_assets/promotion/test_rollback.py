import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from click.testing import CliRunner
from mlflow.exceptions import MlflowException

from recommender_assets.cli import main
from recommender_assets.defs.champion.rollback import rollback_job
from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.promotion.contest import save_contest
from recommender_assets.promotion.decisions import read_decisions
from recommender_assets.promotion.promote import promote
from recommender_assets.promotion.rollback import RollbackError, roll_back
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import read_pointer, version_directory
from recommender_serving.engine.factor_model import write_model
from tests.contests import contest, standing
from tests.factories import make_model
from tests.unit.recommender_serving.server import listening, wait_until_ready
from tests.unit.recommender_serving.service import Service


class Recorder:
    """Stands in for MLflow, whose own side is tested in test_registry: notes what it is told."""

    told: list[tuple[str, ...]]
    is_down = False

    def __init__(self, _: Settings) -> None:
        if self.is_down:
            raise MlflowException("connection refused")

    def record_decision(self, *_: object) -> None:
        return

    def record_rollback(self, champion: str, predecessor: str, reason: str, decision_id: str) -> None:
        self.told.append((champion, predecessor, reason, decision_id))


@pytest.fixture(autouse=True)
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(Recorder, "told", [], raising=False)
    for module in ("promote", "rollback"):
        monkeypatch.setattr(f"recommender_assets.promotion.{module}.Registry", Recorder)
    return Recorder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def promote_pair(settings: Settings, number: int, winner: str = "svd") -> None:
    """Train models number `number` of both algorithms and promote one of them over the champion, whatever that is."""
    field = []
    for algorithm in ("svd", "nmf"):
        version = f"{algorithm}-{number}"
        directory = candidate_directory(settings.root, version)
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, make_model(algorithm, version=version, seed=number))
        field.append(standing(version, 0.90 - number / 100 - (0.01 if algorithm == winner else 0.0)))
    pointer = read_pointer(settings.root)
    save_contest(settings.root, contest(field, standing(pointer.version, 0.95) if pointer else None))
    assert promote(settings).decision.champion == f"{winner}-{number}"


@pytest.fixture
def promoted(settings: Settings) -> Settings:
    """Champions svd-1, svd-2 and nmf-3 after each other."""
    for number, winner in ((1, "svd"), (2, "svd"), (3, "nmf")):
        promote_pair(settings, number, winner)
    return settings


def test_the_predecessor_comes_back_as_it_was_deployed(promoted: Settings, recorder: type[Recorder]) -> None:
    done = roll_back(promoted, reason="answers were wrong")
    pointer = read_pointer(promoted.root)
    assert pointer == done.pointer
    assert pointer is not None
    assert (pointer.version, pointer.predecessor) == ("svd-2", "svd-1")
    assert pointer.deployed == {"svd": "svd-2", "nmf": "nmf-2"}
    assert pointer.reason == "rollback from nmf-3: answers were wrong"
    row = read_decisions(promoted.root)[-1]
    assert row == done.row
    assert (row.kind, row.champion, row.predecessor) == ("rollback", "svd-2", "nmf-3")
    assert (row.reason, row.deployed) == ("answers were wrong", pointer.deployed)
    assert recorder.told == [("svd-2", "nmf-3", "answers were wrong", row.decision_id)]
    assert done.registry_problem is None


def test_rollbacks_walk_back_and_end_at_the_first_champion(promoted: Settings) -> None:
    assert [roll_back(promoted).pointer.version for _ in range(2)] == ["svd-2", "svd-1"]
    with pytest.raises(
        RollbackError, match="svd-1 has no predecessor; versions to go back to: nmf-1, nmf-2, nmf-3, svd-2"
    ):
        roll_back(promoted)
    assert [row.kind for row in read_decisions(promoted.root)] == ["promotion"] * 3 + ["rollback"] * 2


def test_any_published_version_can_be_named(promoted: Settings) -> None:
    done = roll_back(promoted, to="svd-1", reason="svd-2 is no better")
    assert (done.pointer.version, done.pointer.predecessor) == ("svd-1", None)
    assert done.pointer.deployed == {"svd": "svd-1", "nmf": "nmf-1"}
    again = roll_back(promoted, to="nmf-3")
    assert (again.pointer.version, again.pointer.predecessor) == ("nmf-3", "svd-2")


def test_a_version_that_never_was_champion_is_deployed_by_itself(promoted: Settings) -> None:
    assert roll_back(promoted, to="nmf-1").pointer.deployed == {"nmf": "nmf-1"}


def test_a_rolled_back_version_does_not_return_by_itself(promoted: Settings) -> None:
    roll_back(promoted, reason="answers were wrong")
    field = [standing("svd-3", 0.89), standing("nmf-3", 0.10)]
    save_contest(promoted.root, contest(field, standing("svd-2", 0.88)))
    outcome = promote(promoted)
    assert (outcome.decision.promoted, outcome.row.kind) == (False, "refusal")
    assert "nmf-3: was rolled back: answers were wrong" in outcome.decision.reason
    pointer = read_pointer(promoted.root)
    assert pointer is not None
    assert pointer.version == "svd-2"


def test_what_a_rollback_returned_to_by_name_is_no_longer_barred(promoted: Settings) -> None:
    roll_back(promoted)
    roll_back(promoted, to="nmf-3", reason="it was the network")
    promote_pair(promoted, 4)
    assert roll_back(promoted).pointer.version == "nmf-3"


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("svd-9", "there is no published version svd-9; versions to go back to: nmf-1, nmf-2, svd-1, svd-2, svd-3"),
        ("nmf-3", "nmf-3 is the champion already"),
        ("../svd-1", "there is no published version"),
        (".hidden", "there is no published version"),
        ("svd-1", "svd-1 cannot be served: .*popularity"),
    ],
)
def test_what_cannot_be_gone_back_to_changes_nothing(promoted: Settings, to: str, message: str, recorder: Any) -> None:
    (version_directory(promoted.root, "svd-1") / "popularity.npy").unlink()
    before = read_pointer(promoted.root), read_decisions(promoted.root)
    with pytest.raises(RollbackError, match=message):
        roll_back(promoted, to=to)
    assert (read_pointer(promoted.root), read_decisions(promoted.root)) == before
    assert recorder.told == []


def test_a_damaged_predecessor_is_not_gone_back_to(promoted: Settings) -> None:
    shutil.rmtree(version_directory(promoted.root, "svd-2"))
    with pytest.raises(RollbackError, match="no published version svd-2"):
        roll_back(promoted)


def test_a_damaged_peer_is_left_out(promoted: Settings) -> None:
    (version_directory(promoted.root, "nmf-2") / "manifest.json").unlink()
    assert roll_back(promoted).pointer.deployed == {"svd": "svd-2"}


def test_without_a_champion_there_is_nothing_to_roll_back(settings: Settings) -> None:
    with pytest.raises(RollbackError, match="there is no champion yet"):
        roll_back(settings)
    assert read_decisions(settings.root) == ()


def test_a_guardrail_rolls_back_only_the_champion_that_broke_it(promoted: Settings) -> None:
    with pytest.raises(RollbackError, match="svd-2 is not the champion any more, nmf-3 is"):
        roll_back(promoted, reason="errors", kind="live_rollback", from_version="svd-2")
    done = roll_back(promoted, reason="errors", kind="live_rollback", from_version="nmf-3")
    assert (done.row.kind, done.pointer.version) == ("live_rollback", "svd-2")


def test_mlflow_being_down_keeps_no_bad_champion_in_service(promoted: Settings, recorder: type[Recorder]) -> None:
    recorder.is_down = True
    try:
        done = roll_back(promoted)
    finally:
        recorder.is_down = False
    assert done.registry_problem is not None
    assert "connection refused" in done.registry_problem
    pointer = read_pointer(promoted.root)
    assert pointer is not None
    assert pointer.version == read_decisions(promoted.root)[-1].champion == "svd-2"


@pytest.fixture
def service(promoted: Settings) -> Iterator[str]:
    with listening(Service(promoted.root)) as url:
        wait_until_ready(url)
        yield url


def test_a_running_service_follows_within_seconds_and_answers_meanwhile(promoted: Settings, service: str) -> None:
    with httpx.Client(base_url=service) as client:

        def served() -> str:
            answer = client.get("/recommendations/user/u0")
            assert answer.status_code == httpx.codes.OK
            version: str = answer.json()["model"]["version"]
            return version

        assert served() == "nmf-3"
        roll_back(promoted)
        deadline = time.monotonic() + 5
        while served() != "svd-2":
            assert time.monotonic() < deadline, "the service did not follow the rollback"
        roll_back(promoted, to="nmf-3")
        while served() != "nmf-3":
            assert time.monotonic() < deadline, "the service did not follow the second rollback"


def test_the_command_says_what_it_did(promoted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMMENDER__STORAGE__ROOT", str(promoted.root))
    runner = CliRunner()
    done = runner.invoke(main, ["rollback", "--reason", "answers were wrong"])
    assert (done.exit_code, done.output) == (0, "champion is svd-2, in place of nmf-3\n")
    assert read_decisions(promoted.root)[-1].reason == "answers were wrong"
    refused = runner.invoke(main, ["rollback", "--to", "svd-9"])
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: there is no published version svd-9; versions to go back to: ")


def run_job(settings: Settings, **config: str) -> dg.ExecuteInProcessResult:
    ops = {"ops": {"roll_back_champion": {"config": config}}}
    with dg.DagsterInstance.ephemeral() as instance:
        return rollback_job.execute_in_process(
            run_config=ops, instance=instance, resources={"settings": settings}, raise_on_error=False
        )


def test_the_job_shows_the_rollback_at_the_asset(promoted: Settings) -> None:
    result = run_job(promoted, to="svd-1", reason="svd-2 is no better")
    assert result.success
    (event,) = (event for event in result.all_events if event.is_step_materialization)
    metadata = event.step_materialization_data.materialization.metadata
    assert (metadata["champion"].value, metadata["predecessor"].value) == ("svd-1", "nmf-3")
    assert event.asset_key == dg.AssetKey("champion")
    assert read_decisions(promoted.root)[-1].kind == "rollback"


def test_the_job_of_a_broken_guardrail_does_nothing_to_another_champion(promoted: Settings) -> None:
    assert not run_job(promoted, reason="errors", broken_guardrail_of="svd-2").success
    assert read_decisions(promoted.root)[-1].kind == "promotion"
    assert run_job(promoted, reason="errors", broken_guardrail_of="nmf-3").success
    assert read_decisions(promoted.root)[-1].kind == "live_rollback"
