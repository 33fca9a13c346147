import datetime as dt
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.automation.live_guardrails import (
    GuardrailCursor,
    Judgement,
    champion_key,
    follow_service,
    is_in_grace,
    is_log_due,
    judge,
    latency_quantile,
)
from recommender_assets.automation.sensor_cursor import read_cursor
from recommender_assets.automation.service_scrape import Counts, Scrape
from recommender_assets.settings import LiveGuardrailSettings
from recommender_serving.engine.champion_pointer import ChampionPointer

RULES = LiveGuardrailSettings(error_share=0.05, p99_milliseconds=100.0, popular_share=0.9, minimum_requests=100)
POINTER = ChampionPointer(
    version="svd-2", predecessor="svd-1", deployed={"svd": "svd-2"}, promoted_at="2026-01-01T00:00:00Z"
)
PROMOTED_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp()
A, B = "http://a", "http://b"


def counts(requests: float, errors: float = 0, popular: float = 0, slow: float = 0) -> Counts:
    """Requests of which some failed, some were the popular list, and some took between 0.1 and 0.25 seconds."""
    fast = requests - slow
    within = {"0.05": fast, "0.1": fast, "0.25": requests, "+Inf": requests}
    return Counts(requests=requests, errors=errors, lists=requests, popular=popular, within=within)


def scraped(found: Counts, version: str = "svd-2", started: float = 1.0) -> Scrape:
    return Scrape(version=version, started=started, counts=found)


def watched(*ticks: dict[str, Scrape], pointer: ChampionPointer = POINTER) -> GuardrailCursor:
    cursor = GuardrailCursor()
    for scrapes in ticks:
        cursor = follow_service(cursor, pointer, scrapes, in_grace=False)
    return cursor


def judged(window: Counts, rules: LiveGuardrailSettings = RULES, pointer: ChampionPointer = POINTER) -> Judgement:
    cursor = GuardrailCursor(champion=champion_key(pointer), window=window)
    return judge(cursor, pointer, rules, came_by_rollback=False)


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (counts(100), None),
        (counts(99, errors=99), None),
        (counts(100, errors=5), None),
        (counts(100, errors=6), "error share is 6.0%, at most 5.0% is allowed over 100 requests"),
        (counts(100, popular=90), None),
        (counts(100, popular=91), "share of popular lists is 91.0%, at most 90.0% is allowed over 100 requests"),
        (counts(100, slow=1), None),
        (counts(100, slow=2), "p99 latency in ms is 175.0, at most 100.0 is allowed over 100 requests"),
        (
            counts(200, errors=100, popular=200),
            "error share is 50.0%, at most 5.0% is allowed; share of popular lists is 100.0%, at most 90.0% is allowed "
            "over 200 requests",
        ),
    ],
)
def test_a_broken_guardrail_is_named_with_its_numbers(window: Counts, reason: str | None) -> None:
    found = judged(window)
    assert (found.skip is None, found.reason) == (reason is not None, reason or "")
    assert found.cursor.is_rollback_requested is (reason is not None)


def test_a_window_ends_with_its_judgement() -> None:
    assert judged(counts(150)).cursor.window == Counts()
    assert judged(counts(150, errors=150)).cursor.window == Counts()
    too_few = judged(counts(50, errors=50))
    assert (too_few.cursor.window, too_few.skip) == (counts(50, errors=50), "50 of 100 requests to judge by")


def test_errors_without_any_list_are_judged() -> None:
    window = Counts(requests=100, errors=100)
    assert judged(window).reason == "error share is 100.0%, at most 5.0% is allowed over 100 requests"


def test_a_champion_is_rolled_back_once() -> None:
    first = judged(counts(100, errors=100))
    again = judge(
        msgspec.structs.replace(first.cursor, window=counts(100, errors=100)), POINTER, RULES, came_by_rollback=False
    )
    assert again.skip is not None
    assert "was asked for already" in again.skip


def test_what_came_by_a_rollback_or_has_nothing_before_it_waits_for_a_person() -> None:
    cursor = GuardrailCursor(window=counts(100, errors=100))
    came_back = judge(cursor, POINTER, RULES, came_by_rollback=True)
    assert came_back.skip is not None
    assert "svd-2 came by a rollback itself, so a person has to look" in came_back.skip
    first = msgspec.structs.replace(POINTER, predecessor=None)
    alone = judge(cursor, first, RULES, came_by_rollback=False)
    assert alone.skip is not None
    assert "svd-2 has no predecessor" in alone.skip


def test_what_the_log_says_needs_no_requests_and_stands_beside_what_they_say() -> None:
    fault = "click-through is 1.0%"
    few = judge(GuardrailCursor(window=counts(3)), POINTER, RULES, came_by_rollback=False, click_through_fault=fault)
    assert (few.skip, few.reason, few.cursor.is_rollback_requested) == (None, fault, True)
    bad = GuardrailCursor(window=counts(100, errors=6))
    both = judge(bad, POINTER, RULES, came_by_rollback=False, click_through_fault=fault)
    assert both.reason == f"error share is 6.0%, at most 5.0% is allowed over 100 requests; {fault}"


@pytest.mark.parametrize(
    ("fall", "seconds", "expected"), [(0.5, 299, False), (0.5, 300, True), (0.99, 1e6, True), (1.0, 1e6, False)]
)
def test_the_log_is_read_every_five_minutes_unless_any_fall_is_allowed(
    fall: float, seconds: float, *, expected: bool
) -> None:
    rules = LiveGuardrailSettings(click_through_fall=fall)
    assert is_log_due(GuardrailCursor(log_read_at=1_000), rules, 1_000 + seconds) is expected


def test_only_differences_between_scrapes_of_one_replica_count() -> None:
    start = {A: scraped(counts(1_000, errors=1_000)), B: scraped(counts(500))}
    cursor = watched(start)
    assert cursor.window == Counts()
    cursor = watched(start, {A: scraped(counts(1_010, errors=1_000)), B: scraped(counts(520, errors=3))})
    assert (cursor.window.requests, cursor.window.errors) == (30, 3)


def test_a_replica_that_comes_late_or_is_away_for_a_while_is_counted_from_its_own_scrapes() -> None:
    cursor = watched(
        {A: scraped(counts(10))},
        {A: scraped(counts(20)), B: scraped(counts(700, errors=700))},
        {B: scraped(counts(705, errors=700))},
        {A: scraped(counts(40)), B: scraped(counts(705, errors=700))},
    )
    assert (cursor.window.requests, cursor.window.errors) == (10 + 5 + 20, 0)


def test_what_a_process_counted_before_its_first_scrape_does_not_count() -> None:
    cursor = watched(
        {A: scraped(counts(1_000))},
        {A: scraped(counts(2_000, errors=700), started=2.0)},
        {A: scraped(counts(2_007, errors=702), started=2.0)},
    )
    assert (cursor.window.requests, cursor.window.errors) == (7, 2)


def test_what_was_counted_under_another_champion_does_not_count() -> None:
    cursor = watched(
        {A: scraped(counts(100), version="svd-1")},
        {A: scraped(counts(200, errors=90), version="svd-1")},
        {A: scraped(counts(300, errors=95))},
        {A: scraped(counts(301, errors=95))},
    )
    assert (cursor.window.requests, cursor.window.errors) == (1, 0)


def test_a_new_promotion_forgets_everything() -> None:
    cursor = msgspec.structs.replace(
        watched({A: scraped(counts(10))}, {A: scraped(counts(20))}), is_rollback_requested=True
    )
    for later in (
        msgspec.structs.replace(POINTER, version="svd-3"),
        msgspec.structs.replace(POINTER, promoted_at="2026-02-01T00:00:00Z"),
    ):
        fresh = follow_service(cursor, later, {A: scraped(counts(30))}, in_grace=False)
        assert (fresh.window, fresh.is_rollback_requested) == (Counts(), False)


def test_in_grace_nothing_counts_but_the_scrapes_are_kept() -> None:
    cursor = GuardrailCursor()
    for errors in (0, 50):
        cursor = follow_service(cursor, POINTER, {A: scraped(counts(100 + errors, errors=errors))}, in_grace=True)
    assert cursor.window == Counts()
    cursor = follow_service(cursor, POINTER, {A: scraped(counts(160, errors=50))}, in_grace=False)
    assert (cursor.window.requests, cursor.window.errors) == (10, 0)


@pytest.mark.parametrize(("seconds", "expected"), [(0, True), (59.9, True), (60, False), (1e6, False)])
def test_the_grace_is_in_minutes_after_the_promotion(seconds: float, *, expected: bool) -> None:
    assert is_in_grace(POINTER, LiveGuardrailSettings(grace_minutes=1), PROMOTED_AT + seconds) is expected


def test_a_cursor_survives_and_a_foreign_one_starts_afresh() -> None:
    cursor = watched({A: scraped(counts(10))}, {A: scraped(counts(20))})
    assert read_cursor(msgspec.json.encode(cursor).decode(), GuardrailCursor) == cursor
    assert (
        read_cursor(None, GuardrailCursor)
        == read_cursor("[]", GuardrailCursor)
        == read_cursor("not json", GuardrailCursor)
        == GuardrailCursor()
    )


step = st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans(), st.booleans())


@given(steps=st.lists(step, max_size=15))
def test_the_window_never_has_more_than_was_served_under_the_champion(
    steps: list[tuple[int, int, bool, bool]],
) -> None:
    """A replica serves requests, some fail; it may restart, and it may not answer the sensor."""
    requests, errors, started = 0.0, 0.0, 1.0
    served, failed = 0.0, 0.0
    cursor = watched({A: scraped(counts(0))})
    for more, most_bad, restarts, answers in steps:
        if restarts:
            requests, errors, started = 0.0, 0.0, started + 1
        bad = min(more, most_bad)
        requests, errors = requests + more, errors + bad
        served, failed = served + more, failed + bad
        scrapes = {A: scraped(counts(requests, errors=errors), started=started)} if answers else {}
        cursor = follow_service(cursor, POINTER, scrapes, in_grace=False)
    assert 0 <= cursor.window.requests <= served
    assert 0 <= cursor.window.errors <= failed
    if all(answers and not restarts for _, _, restarts, answers in steps):
        assert (cursor.window.requests, cursor.window.errors) == (served, failed)


@given(seconds=st.lists(st.floats(0.0001, 0.4), min_size=1, max_size=200), quantile=st.floats(0.01, 0.999))
def test_the_quantile_lies_in_the_bucket_of_the_true_one(seconds: list[float], quantile: float) -> None:
    bounds = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5]
    within = {str(bound): float(sum(value <= bound for value in seconds)) for bound in bounds}
    found = latency_quantile(Counts(within=within | {"+Inf": float(len(seconds))}), quantile)
    true = float(np.quantile(seconds, quantile, method="inverted_cdf"))
    upper = next(bound for bound in bounds if true <= bound)
    lower = max((bound for bound in bounds if bound < upper), default=0.0)
    assert found is not None
    assert lower - 1e-12 <= found <= upper + 1e-12


def test_beyond_the_last_bound_the_quantile_is_that_bound_and_without_requests_there_is_none() -> None:
    assert latency_quantile(Counts(within={"0.1": 0.0, "10.0": 0.0, "+Inf": 5.0}), 0.99) == 10.0
    assert latency_quantile(Counts(within={"0.1": 0.0, "+Inf": 0.0}), 0.99) is None
    assert latency_quantile(Counts(), 0.99) is None
    assert math.isfinite(latency_quantile(Counts(within={"+Inf": 5.0}), 0.99) or 0.0)
