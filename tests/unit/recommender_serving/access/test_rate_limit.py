import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.access.rate_limit import RateLimit
from recommender_serving.errors import RateLimitedError


class Clock:
    """Seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def admitted(limit: RateLimit, caller: str = "shop") -> bool:
    try:
        limit.take(caller)
    except RateLimitedError:
        return False
    return True


def test_a_burst_passes_and_then_the_rate_counts() -> None:
    clock = Clock()
    limit = RateLimit(2.0, burst=3, clock=clock)
    assert [admitted(limit) for _ in range(5)] == [True, True, True, False, False]
    clock.now += 0.5
    assert [admitted(limit) for _ in range(2)] == [True, False]
    clock.now += 3_600
    assert [admitted(limit) for _ in range(5)] == [True, True, True, False, False]


def test_callers_have_buckets_of_their_own() -> None:
    limit = RateLimit(1.0, burst=1, clock=Clock())
    assert [admitted(limit, caller) for caller in ("a", "b", "a", "b")] == [True, True, False, False]


def test_the_refusal_says_when_to_come_back() -> None:
    clock = Clock()
    limit = RateLimit(0.1, burst=1, clock=clock)
    limit.take("shop")
    clock.now += 2.5
    with pytest.raises(RateLimitedError, match=r"More than 0\.1 requests per second beyond a burst of 1") as refused:
        limit.take("shop")
    assert refused.value.headers == {"Retry-After": "8"}
    clock.now += 8
    assert admitted(limit)


@given(
    st.floats(0.1, 50),
    st.integers(1, 10),
    st.lists(st.floats(0, 2), max_size=60),
)
def test_no_caller_gets_more_than_burst_and_rate_allow(per_second: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    limit = RateLimit(per_second, burst, clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        passed += admitted(limit)
    assert passed <= burst + per_second * sum(pauses) + 1e-6


def test_addresses_without_number_do_not_grow_the_memory() -> None:
    limit = RateLimit(1.0, burst=1, clock=Clock())
    for number in range(10_050):
        limit.take(str(number))
    assert len(limit._buckets) == 10_000
    assert not admitted(limit, "10049")
