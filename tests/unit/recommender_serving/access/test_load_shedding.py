import asyncio

import pytest

from recommender_serving.access.load_shedding import LoadShedding
from recommender_serving.errors import OverloadedError
from tests.unit.recommender_serving.access.test_rate_limit import Clock


async def test_a_turn_of_the_loop_admits_for_a_limited_time() -> None:
    clock = Clock()
    load = LoadShedding(turn_seconds=0.05, concurrent=100, clock=clock)
    for _ in range(5):
        load.require_capacity()
        clock.now += 0.0101
    with pytest.raises(OverloadedError, match="within 50 ms") as refused:
        load.require_capacity()
    assert refused.value.headers == {"Retry-After": "1"}


async def test_every_turn_admits_anew_however_long_the_one_before_took() -> None:
    clock = Clock()
    load = LoadShedding(turn_seconds=0.05, concurrent=100, clock=clock)
    for _ in range(3):
        load.require_capacity()
        clock.now += 10
        with pytest.raises(OverloadedError):
            load.require_capacity()
        await asyncio.sleep(0)


async def test_of_requests_that_arrive_together_the_first_are_answered_and_the_rest_is_refused() -> None:
    clock = Clock()
    load = LoadShedding(turn_seconds=0.05, concurrent=100, clock=clock)
    answered = []

    async def request(number: int) -> None:
        load.require_capacity()
        clock.now += 0.02
        answered.append(number)

    for first in (0, 10):
        results = await asyncio.gather(*(request(first + number) for number in range(10)), return_exceptions=True)
        assert sum(isinstance(result, OverloadedError) for result in results) == 7
    assert answered == [0, 1, 2, 10, 11, 12]


async def test_calls_under_way_are_limited_by_number() -> None:
    load = LoadShedding(turn_seconds=0.05, concurrent=2, clock=Clock())
    with load:
        load.require_capacity()
        with load, pytest.raises(OverloadedError, match="2 calls are under way"):
            load.require_capacity()
        load.require_capacity()
    assert load.under_way == 0
