from collections.abc import Callable

import pytest

from recommender_assets.local.dagster_client import DagsterClient, DagsterError, Run, RunWatch, Step

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


def test_every_step_is_reported_once_until_the_run_has_succeeded() -> None:
    steps: list[Step] = []
    watch = RunWatch(answers([], [QUEUED], [HALF], [HALF], [DONE]), steps.append, lambda: None)
    watch.wait_for_success(expected=1, timeout_seconds=5)
    assert [step.name for step in steps] == ["matrix", "model"]


def test_as_many_runs_as_expected_are_waited_for() -> None:
    second = Run("2", "a_job", "SUCCESS", ())
    asked: list[list[Run]] = []
    find = answers([DONE], [DONE], [DONE, second])

    def remember() -> list[Run]:
        asked.append(find())
        return asked[-1]

    RunWatch(remember, lambda _: None, lambda: None).wait_for_success(expected=2, timeout_seconds=5)
    assert asked == [[DONE], [DONE], [DONE, second]]


def test_a_watch_goes_on_where_it_was_and_repeats_no_step() -> None:
    steps: list[Step] = []
    watch = RunWatch(answers([HALF], [HALF], [DONE]), steps.append, lambda: None)
    watch.wait_until(lambda runs: bool(runs and runs[0].steps), timeout_seconds=5)
    assert [step.name for step in steps] == ["matrix"]
    watch.wait_for_success(expected=1, timeout_seconds=5)
    assert [step.name for step in steps] == ["matrix", "model"]


def test_a_failed_run_is_an_error_that_names_it() -> None:
    with pytest.raises(DagsterError, match="run 1 of a_job ended as FAILURE"):
        RunWatch(answers([FAILED]), lambda _: None, lambda: None).wait_for_success(1, 5)


def test_a_run_that_does_not_end_is_an_error_after_the_time_allowed() -> None:
    with pytest.raises(DagsterError, match="no end of the run within 0 s"):
        RunWatch(answers([HALF]), lambda _: None, lambda: None).wait_for_success(1, 0.05)


def test_waiting_can_be_given_up_from_outside() -> None:
    def give_up() -> None:
        raise InterruptedError("a process died")

    with pytest.raises(InterruptedError, match="a process died"):
        RunWatch(answers([HALF]), lambda _: None, give_up).wait_for_success(1, 5)


def test_a_web_server_that_is_not_there_yet_is_not_loaded() -> None:
    with DagsterClient("http://127.0.0.1:9") as client:
        assert client.is_loaded() is False
