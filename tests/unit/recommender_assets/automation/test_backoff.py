from itertools import pairwise

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


@given(
    marks=st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 4_000)), max_size=30),
)
def test_requests_are_never_closer_than_the_pause_allows(marks: list[tuple[str, float]]) -> None:
    attempts, now = Attempts(), 0.0
    streak: list[float] = []
    for mark, pause in marks:
        now += pause
        if attempts.wait(mark, now) > 0:
            continue
        streak = [*streak, now] if mark == attempts.mark else [now]
        attempts = attempts.requested(mark, now)
        assert (attempts.mark, attempts.count, attempts.requested_at) == (mark, len(streak), now)
    gaps = [later - earlier for earlier, later in pairwise(streak)]
    assert all(gap >= min(30 * 2**step, LONGEST_DELAY_SECONDS) - 1e-6 for step, gap in enumerate(gaps))


def test_the_first_request_of_all_is_never_held_up() -> None:
    assert Attempts().wait("", 0.0) == 0
    assert Attempts(mark="m", count=0, requested_at=1_000.0).wait("m", 1_000.0) == 0


def test_a_request_leaves_the_state_before_it_alone() -> None:
    before = Attempts(mark="m", count=2, requested_at=5.0)
    assert before.requested("m", 9.0) == Attempts(mark="m", count=3, requested_at=9.0)
    assert before == Attempts(mark="m", count=2, requested_at=5.0)
