import asyncio
import time
from contextlib import suppress

import pytest

from recommender_serving.access.load_shedding import LoadShedding
from recommender_serving.errors import OverloadedError
from tests.unit.recommender_serving.access.test_rate_limit import Clock


def admitted(load: LoadShedding, clock: Clock, requests: int, seconds_each: float) -> int:
    """How many of some requests that arrive together are admitted."""
    number = 0
    for _ in range(requests):
        with suppress(OverloadedError):
            load.require_capacity()
            clock.now += seconds_each
            number += 1
    return number


async def test_a_turn_of_the_loop_admits_until_it_has_worked_for_a_limited_time() -> None:
    clock = Clock()
    load = LoadShedding(turn_seconds=0.05, concurrent=100, clock=clock)
    assert admitted(load, clock, 100, seconds_each=0.002) == 39, "8 before the first look, then 50 ms to the next"
    with pytest.raises(OverloadedError, match="within 50 ms") as refused:
        load.require_capacity()
    assert refused.value.headers == {"Retry-After": "1"}


async def test_every_turn_admits_anew_however_long_the_one_before_took() -> None:
    clock = Clock()
    load = LoadShedding(turn_seconds=0.05, concurrent=100, clock=clock)
    for _ in range(3):
        assert admitted(load, clock, 40, seconds_each=10) == 15
        await asyncio.sleep(0)


async def test_a_few_requests_are_never_too_many() -> None:
    clock = Clock()
    load = LoadShedding(turn_seconds=0.05, concurrent=100, clock=clock)
    assert admitted(load, clock, 15, seconds_each=10) == 15


async def test_of_requests_that_arrive_together_the_first_are_answered_and_the_rest_is_refused() -> None:
    clock = Clock()
    load = LoadShedding(turn_seconds=0.05, concurrent=100, clock=clock)
    answered = []

    async def request(number: int) -> None:
        load.require_capacity()
        clock.now += 0.006
        answered.append(number)

    for first in (0, 100):
        results = await asyncio.gather(*(request(first + number) for number in range(40)), return_exceptions=True)
        assert sum(isinstance(result, OverloadedError) for result in results) == 17
    assert answered == [*range(23), *range(100, 123)]


async def test_time_without_a_core_does_not_count() -> None:
    load = LoadShedding(turn_seconds=0.02, concurrent=100)
    for _ in range(32):
        load.require_capacity()
        time.sleep(0.002)  # noqa: ASYNC251 (what a busy machine does to the loop)
    started = time.thread_time()
    while time.thread_time() - started < 0.03:
        pass
    for _ in range(7):
        load.require_capacity()
    with pytest.raises(OverloadedError):
        load.require_capacity()


async def test_calls_under_way_are_limited_by_number() -> None:
    load = LoadShedding(turn_seconds=0.05, concurrent=2, clock=Clock())
    with load:
        load.require_capacity()
        with load, pytest.raises(OverloadedError, match="2 calls are under way"):
            load.require_capacity()
        load.require_capacity()
    assert load.under_way == 0
