from collections.abc import Callable
from typing import Any

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


def location(status: str, problem: str | None = None) -> dict[str, object]:
    error = {"__typename": "PythonError", "message": problem} if problem else {"__typename": "RepositoryLocation"}
    return {"loadStatus": status, "locationOrLoadError": error}


def workspace(*entries: dict[str, object]) -> tuple[int, object]:
    return 200, {"data": {"workspaceOrError": {"locationEntries": list(entries)}}}


STILL_LOADING = {"loadStatus": "LOADING", "locationOrLoadError": None}


@pytest.mark.parametrize(
    ("answer", "loaded"),
    [
        (workspace(), False),
        (workspace(location("LOADED")), True),
        (workspace(STILL_LOADING), False),
        (workspace(location("LOADED"), STILL_LOADING), False),
        ((502, "starting"), False),
    ],
)
def test_a_workspace_is_loaded_once_all_of_its_locations_are(
    http_server: Any,
    answer: tuple[int, object],
    loaded: bool,  # noqa: FBT001
) -> None:
    http_server.answers = [answer]
    with DagsterClient(http_server.address) as client:
        assert client.is_loaded() is loaded


def test_a_location_that_does_not_load_is_an_error_with_the_reason(http_server: Any) -> None:
    http_server.answers = [workspace(location("LOADED", "ImportError: no module named x"))]
    with DagsterClient(http_server.address) as client, pytest.raises(DagsterError, match="does not load: ImportError"):
        client.is_loaded()


def test_a_code_server_that_is_still_starting_is_asked_for_again(http_server: Any) -> None:
    http_server.answers = [
        workspace(location("LOADED", "DagsterUserCodeUnreachableError: no connection")),
        (200, {"data": {"reloadWorkspace": {"__typename": "Workspace"}}}),
        workspace(location("LOADED")),
    ]
    with DagsterClient(http_server.address) as client:
        assert [client.is_loaded(), client.is_loaded()] == [False, True]
    assert "reloadWorkspace" in http_server.asked[1][2]["query"]


@pytest.mark.parametrize(("materialised", "missing"), [(0, ["a", "b"]), (1, ["a", "b"]), (2, [])])
def test_partitions_are_missing_until_all_are_there(http_server: Any, materialised: int, missing: list[str]) -> None:
    stats = {"numPartitions": 2, "numMaterialized": materialised}
    node = {"partitionKeys": ["a", "b"], "partitionStats": stats}
    http_server.answers = [(200, {"data": {"assetNodeOrError": node}})]
    with DagsterClient(http_server.address) as client:
        assert client.missing_partitions("history") == missing
    (question,) = http_server.asked
    assert question[:2] == ("POST", "/graphql")
    assert question[2]["variables"] == {"key": {"path": ["history"]}}


def backfill(**answer: str) -> tuple[int, object]:
    return 200, {"data": {"launchPartitionBackfill": answer}}


def test_a_backfill_names_assets_and_partitions_and_gives_its_id(http_server: Any) -> None:
    http_server.answers = [backfill(__typename="LaunchBackfillSuccess", backfillId="b1")]
    with DagsterClient(http_server.address) as client:
        assert client.launch_backfill(["history", "items"], ["1995-01", "1995-02", "1995-03"]) == "b1"
    assert http_server.asked[0][2]["variables"]["params"] == {
        "assetSelection": [{"path": ["history"]}, {"path": ["items"]}],
        "partitionNames": ["1995-01", "1995-02", "1995-03"],
        "title": "history, items: 1995-01 to 1995-03",
    }


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (backfill(__typename="PythonError", message="no such asset"), "refused: .*no such asset"),
        ((200, {"errors": [{"message": "unknown field"}]}), "refused the query: .*unknown field"),
    ],
)
def test_a_refused_backfill_is_an_error_with_the_answer(
    http_server: Any, answer: tuple[int, object], message: str
) -> None:
    http_server.answers = [answer]
    with DagsterClient(http_server.address) as client, pytest.raises(DagsterError, match=message):
        client.launch_backfill(["history"], ["1995-01"])


def step(key: str, status: str, start: float | None, end: float | None) -> dict[str, object]:
    return {"stepKey": key, "status": status, "startTime": start, "endTime": end}


def test_runs_have_their_finished_steps_in_the_order_of_their_ends(http_server: Any) -> None:
    stats = [
        step("late", "SUCCESS", 10, 15),
        step("early", "FAILURE", 10, 12.5),
        step("running", "IN_PROGRESS", 11, None),
        step("skipped", "SKIPPED", None, 13),
    ]
    runs = [
        {"runId": "1", "jobName": "a_job", "status": "STARTED", "stepStats": stats},
        {"runId": "2", "jobName": "a_job", "status": "QUEUED", "stepStats": []},
    ]
    http_server.answers = [(200, {"data": {"runsOrError": {"results": runs}}})]
    expected = [
        Run("1", "a_job", "STARTED", (Step("early", False, 2.5), Step("late", True, 5))),
        Run("2", "a_job", "QUEUED", ()),
    ]
    with DagsterClient(http_server.address) as client:
        assert client.runs_of_job("a_job", 12.5) == expected
        assert client.runs_of_backfill("b1") == expected
    assert [question[2]["variables"]["filter"] for question in http_server.asked] == [
        {"pipelineName": "a_job", "createdAfter": 12.5},
        {"tags": [{"key": "dagster/backfill", "value": "b1"}]},
    ]


@pytest.mark.parametrize(
    ("status", "finished"),
    [
        *((status, False) for status in ("QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING")),
        *((status, True) for status in ("SUCCESS", "FAILURE", "CANCELED")),
    ],
)
def test_a_run_is_finished_once_it_cannot_change(status: str, finished: bool) -> None:  # noqa: FBT001
    assert Run("1", "a_job", status, ()).is_finished is finished
