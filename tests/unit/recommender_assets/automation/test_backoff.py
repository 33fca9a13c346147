from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.automation.backoff import LONGEST_DELAY_SECONDS, Attempts


def test_pauses_double_up_to_half_an_hour() -> None:
    attempts, now, pauses = Attempts(), 1_000.0, []
    for _ in range(9):
        attempts = attempts.requested("offset 5", now)
        pauses.append(attempts.wait("offset 5", now))
        now += pauses[-1]
    assert pauses == [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]


def test_progress_ends_the_pause() -> None:
    attempts = Attempts().requested("offset 5", 1_000.0).requested("offset 5", 1_030.0)
    assert attempts.wait("offset 5", 1_031.0) > 0
    assert attempts.wait("offset 6", 1_031.0) == 0
    assert attempts.requested("offset 6", 1_031.0).count == 1


def test_the_pause_runs_out() -> None:
    attempts = Attempts().requested("offset 5", 1_000.0)
    assert attempts.wait("offset 5", 1_029.0) == 1
    assert attempts.wait("offset 5", 1_030.0) == 0


@given(count=st.integers(0, 10_000), later=st.floats(0, 1e6))
def test_work_is_never_forgotten(count: int, later: float) -> None:
    attempts = Attempts(mark="m", count=count, requested_at=0.0)
    assert 0 <= attempts.wait("m", later) <= LONGEST_DELAY_SECONDS
    assert attempts.wait("m", LONGEST_DELAY_SECONDS) == 0
