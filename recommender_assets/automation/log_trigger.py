"""When served lists should be brought from their topic into their table."""

import msgspec

from recommender_assets.automation.backoff import Attempts


class LogCursor(msgspec.Struct, frozen=True, kw_only=True):
    """What the sensor remembers between ticks: the requests it made."""

    attempts: Attempts = Attempts()


class LogDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a tick: the new cursor, and why a run is wanted (`reason`) or not (`skip`)."""

    cursor: LogCursor
    skip: str | None = None
    reason: str = ""


def decide_log_ingestion(
    position: str, unread: int, cursor: LogCursor, interval_seconds: float, now: float
) -> LogDecision:
    """Ask for a run when something is unread, at most once in the interval; without progress ever more rarely.

    Args:
        position: up to where the table has read the topic; progress is read from it.
        unread: number of offsets after it.
        cursor: what the previous tick left.
        interval_seconds: least time between two requests.
        now: seconds since the epoch.
    """
    if unread == 0:
        return LogDecision(cursor=cursor, skip="no served list is unread")
    attempts = cursor.attempts
    wait = max(attempts.wait(position, now), attempts.requested_at + interval_seconds - now)
    if wait > 0:
        return LogDecision(cursor=cursor, skip=f"{unread} records are unread: next request in {wait:.0f} s")
    return LogDecision(cursor=LogCursor(attempts=attempts.requested(position, now)), reason=f"{unread} unread records")
