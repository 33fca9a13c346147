import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.client.retries import Retries


def answer(status: int, retry_after: str | None = None) -> httpx.Response:
    return httpx.Response(status, headers={} if retry_after is None else {"Retry-After": retry_after})


@pytest.mark.parametrize("status", [200, 204, 304, 400, 401, 403, 404, 405, 413, 422, 500])
def test_what_another_try_does_not_mend_is_not_tried_again(status: int) -> None:
    assert Retries().pause(1, answer(status, "1")) is None


@pytest.mark.parametrize("status", [429, 502, 503, 504, None])
def test_what_passes_is_tried_again_until_the_tries_are_used_up(status: int | None) -> None:
    response = None if status is None else answer(status)
    retries = Retries(attempts=3)
    assert [retries.pause(attempt, response) is None for attempt in (1, 2, 3, 4)] == [False, False, True, True]


@given(st.integers(1, 30), st.integers(0, 12) | st.none())
def test_a_pause_is_at_least_what_the_service_asks_for_and_never_too_long(attempt: int, asked: int | None) -> None:
    retries = Retries(attempts=100, first_pause_seconds=0.1, longest_pause_seconds=10.0)
    pause = retries.pause(attempt, answer(503, None if asked is None else str(asked)))
    if asked is not None and asked > 10:
        assert pause is None
    else:
        assert pause is not None
        assert (asked or 0) <= pause <= min((asked or 0) + 0.1 * 2 ** (attempt - 1), 10.0)


@pytest.mark.parametrize("value", ["", "soon", "-3", "Wed, 21 Oct 2026 07:28:00 GMT", "1e9", "٣"])
def test_a_retry_after_that_is_no_number_counts_as_none(value: str) -> None:
    pause = Retries(first_pause_seconds=0.01).pause(1, httpx.Response(503, headers=[(b"Retry-After", value.encode())]))
    assert pause is not None
    assert pause <= 0.01


def test_pauses_differ_so_that_clients_do_not_come_back_together() -> None:
    assert len({Retries().pause(3, None) for _ in range(20)}) > 10


def test_no_tries_at_all_is_no_policy() -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1, got 0"):
        Retries(attempts=0)
