"""Tells a chat room or an alarm system of a failed run."""

import httpx
import msgspec


class FailedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted.

    Attributes:
        text: one line for people; the field that Slack, Mattermost and Teams show.
        job: of the run.
        run_id: of the run.
        error: what went wrong, as Dagster shows it.
        url: of the run in Dagster's UI.
    """

    text: str
    job: str
    run_id: str
    error: str
    url: str


def post_failure(address: str, failed: FailedRun, timeout_seconds: float) -> None:
    """Post a failed run as JSON.

    Raises:
        httpx.HTTPError: no answer in time, or one that is no success.
    """
    httpx.post(address, json=msgspec.to_builtins(failed), timeout=timeout_seconds).raise_for_status()
