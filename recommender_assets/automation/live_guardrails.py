"""Whether the champion broke a guardrail while it served: pure decisions on scrapes of the service's metrics."""

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from recommender_assets.automation.service_scrape import Counts, Scrape
from recommender_assets.settings import LiveGuardrailSettings
from recommender_serving.engine.champion_pointer import ChampionPointer

_QUANTILE = 0.99
_LOG_INTERVAL_SECONDS = 300.0


class LiveReading(NamedTuple):
    """A guardrail: a figure of a window and the greatest value that is allowed.

    Attributes:
        name: for people.
        value: of the window's counts; None if they say nothing about it.
        limit: from the settings.
        unit: format of both.
    """

    name: str
    value: Callable[[Counts], float | None]
    limit: Callable[[LiveGuardrailSettings], float]
    unit: str


def latency_quantile(counts: Counts, quantile: float) -> float | None:
    """Seconds within which this share of the requests was answered, linear within a bucket; None without requests.

    The same as Prometheus's `histogram_quantile`: beyond the last finite bound that bound.
    """
    bounds = sorted((float(bound), count) for bound, count in counts.within.items())
    if not bounds or bounds[-1][1] <= 0:
        return None
    rank = quantile * bounds[-1][1]
    below, counted = 0.0, 0.0
    for bound, count in bounds:
        if count >= rank and count > counted:
            return below if math.isinf(bound) else below + (bound - below) * (rank - counted) / (count - counted)
        below, counted = bound, count
    return below


READINGS = (
    LiveReading("error share", lambda c: c.errors / c.requests if c.requests else None, lambda r: r.error_share, ".1%"),
    LiveReading(
        "p99 latency in ms",
        lambda c: None if (found := latency_quantile(c, _QUANTILE)) is None else found * 1e3,
        lambda r: r.p99_milliseconds,
        ".1f",
    ),
    LiveReading(
        "share of popular lists", lambda c: c.popular / c.lists if c.lists else None, lambda r: r.popular_share, ".1%"
    ),
)


class GuardrailCursor(msgspec.Struct, frozen=True, kw_only=True):
    """What the sensor remembers between ticks.

    Attributes:
        champion: version and time of promotion of the champion that all of this is about.
        scrapes: address -> the latest scrape of a replica that served this champion.
        window: counted under this champion since the latest judgement.
        is_rollback_requested: whether this champion's rollback was asked for; it is asked for once.
        log_read_at: when the recommendation log was last read, in seconds since 1970.
    """

    champion: str = ""
    scrapes: dict[str, Scrape] = {}
    window: Counts = Counts()
    is_rollback_requested: bool = False
    log_read_at: float = 0.0


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a tick: the new cursor, and why the champion is to be rolled back (`reason`) or not (`skip`)."""

    cursor: GuardrailCursor
    skip: str | None
    reason: str = ""


def champion_key(pointer: ChampionPointer) -> str:
    """Tells one service of a version from another one of the same version."""
    return f"{pointer.version} {pointer.promoted_at}"


def follow_service(
    cursor: GuardrailCursor, pointer: ChampionPointer, scrapes: Mapping[str, Scrape], *, in_grace: bool
) -> GuardrailCursor:
    """The cursor with what was counted since the scrapes before, by replicas that serve the champion now and then did.

    Args:
        cursor: of the tick before.
        pointer: the champion now.
        scrapes: by address; replicas that do not answer are missing.
        in_grace: whether what was counted until now does not count.
    """
    if cursor.champion != champion_key(pointer):
        cursor = GuardrailCursor(champion=champion_key(pointer))
    serving = {address: found for address, found in scrapes.items() if found.version == pointer.version}
    window = cursor.window
    if not in_grace:
        for address, found in serving.items():
            if before := cursor.scrapes.get(address):
                window += found.since(before)
    kept = {address: before for address, before in cursor.scrapes.items() if address not in scrapes}
    return msgspec.structs.replace(cursor, scrapes=kept | serving, window=window)


def is_in_grace(pointer: ChampionPointer, rules: LiveGuardrailSettings, now: float) -> bool:
    """Whether the champion was promoted less than `grace_minutes` ago."""
    return now - dt.datetime.fromisoformat(pointer.promoted_at).timestamp() < rules.grace_minutes * 60


def is_log_due(cursor: GuardrailCursor, rules: LiveGuardrailSettings, now: float) -> bool:
    """Whether it is time to look at the clicks in the recommendation log again; `now` is in seconds since 1970."""
    return rules.click_through_fall < 1 and now - cursor.log_read_at >= _LOG_INTERVAL_SECONDS


def judge(
    cursor: GuardrailCursor,
    pointer: ChampionPointer,
    rules: LiveGuardrailSettings,
    *,
    came_by_rollback: bool,
    click_through_fault: str | None = None,
) -> Judgement:
    """Judge the window, as soon as it has enough requests; the next one begins after it.

    A champion is rolled back at most once. One that came by a rollback is not: if a guardrail breaks under it as well,
    the model before was not the cause, and a person has to look.

    Args:
        cursor: brought up to date by `follow_service`.
        pointer: the champion.
        rules: section `promotion.live_guardrails`.
        came_by_rollback: whether the latest decision was a rollback.
        click_through_fault: what the recommendation log says against the champion; it needs no window.
    """
    window = cursor.window
    if window.requests < rules.minimum_requests and click_through_fault is None:
        return Judgement(cursor=cursor, skip=f"{window.requests:.0f} of {rules.minimum_requests} requests to judge by")
    judged = msgspec.structs.replace(cursor, window=Counts())
    faults = [fault for fault in (_fault_of(window, rules), click_through_fault) if fault is not None]
    if not faults:
        return Judgement(cursor=judged, skip=f"every guardrail holds over {window.requests:.0f} requests")
    reason = "; ".join(faults)
    if cursor.is_rollback_requested:
        return Judgement(cursor=judged, skip=f"{reason}; the rollback of {pointer.version} was asked for already")
    if came_by_rollback:
        skip = f"{reason}; {pointer.version} came by a rollback itself, so a person has to look"
        return Judgement(cursor=judged, skip=skip)
    if pointer.predecessor is None:
        return Judgement(cursor=judged, skip=f"{reason}; {pointer.version} has no predecessor to go back to")
    return Judgement(cursor=msgspec.structs.replace(judged, is_rollback_requested=True), skip=None, reason=reason)


def _fault_of(window: Counts, rules: LiveGuardrailSettings) -> str | None:
    if window.requests < rules.minimum_requests:
        return None
    broken = [said for reading in READINGS if (said := _broken(reading, window, rules))]
    return f"{'; '.join(broken)} over {window.requests:.0f} requests" if broken else None


def _broken(reading: LiveReading, window: Counts, rules: LiveGuardrailSettings) -> str | None:
    value, limit = reading.value(window), reading.limit(rules)
    if value is None or value <= limit:
        return None
    return f"{reading.name} is {value:{reading.unit}}, at most {limit:{reading.unit}} is allowed"
