from collections.abc import Callable

import pytest

from recommender_assets.local.dagster_client import DagsterClient, DagsterError, Run, Step, wait_for_runs

QUEUED = Run("1", "a_job", "QUEUED", ())
HALF = Run("1", "a_job", "STARTED", (Step("matrix", True, 2.0),))
DONE = Run("1", "a_job", "SUCCESS", (Step("matrix", True, 2.0), Step("model", True, 3.0)))
FAILED = Run("1", "a_job", "FAILURE", (Step("matrix", False, 1.0),))


def answers(*runs: list[Run]) -> Callable[[], list[Run]]:
    remaining = list(runs)
    return lambda: remaining.pop(0) if len(remaining) > 1 else remaining[0]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender_assets.local.dagster_client.POLL_SECONDS", 0)


def test_wait_for_runs_reports_every_step_once_and_returns_when_all_have_succeeded() -> None:
    steps: list[Step] = []
    runs = wait_for_runs(answers([], [QUEUED], [HALF], [HALF], [DONE]), 1, 5, steps.append, lambda: None)
    assert runs == [DONE]
    assert [step.name for step in steps] == ["matrix", "model"]


def test_wait_for_runs_waits_for_as_many_runs_as_expected() -> None:
    second = Run("2", "a_job", "SUCCESS", ())
    assert wait_for_runs(answers([DONE], [DONE, second]), 2, 5, lambda _: None, lambda: None) == [DONE, second]


def test_a_failed_run_is_an_error_that_names_it() -> None:
    with pytest.raises(DagsterError, match="run 1 of a_job ended as FAILURE"):
        wait_for_runs(answers([FAILED]), 1, 5, lambda _: None, lambda: None)


def test_a_run_that_does_not_end_is_an_error_after_the_time_allowed() -> None:
    with pytest.raises(DagsterError, match="no end of the run within 0 s"):
        wait_for_runs(answers([HALF]), 1, 0.05, lambda _: None, lambda: None)


def test_waiting_can_be_given_up_from_outside() -> None:
    def give_up() -> None:
        raise InterruptedError("a process died")

    with pytest.raises(InterruptedError, match="a process died"):
        wait_for_runs(answers([HALF]), 1, 5, lambda _: None, give_up)


def test_a_web_server_that_is_not_there_yet_is_not_loaded() -> None:
    with DagsterClient("http://127.0.0.1:9") as client:
        assert client.is_loaded() is False
