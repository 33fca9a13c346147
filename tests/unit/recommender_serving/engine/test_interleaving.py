import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.interleaving import coins_of, team_draft

rankings = st.lists(st.integers(0, 30), unique=True, max_size=15)


@given(rankings, rankings, st.integers(0, 12), st.integers(0, 1000))
def test_the_list_is_full_without_repetition_and_each_team_plays_its_best_left(
    control: list[int], treatment: list[int], count: int, seed: int
) -> None:
    merged = team_draft(control, treatment, count, np.random.default_rng(seed))
    assert len(merged.items) == len(set(merged.items)) == min(count, len({*control, *treatment}))
    for position, (item, by_treatment) in enumerate(zip(merged.items, merged.treatment, strict=True)):
        ranking = treatment if by_treatment else control
        assert item == next(one for one in ranking if one not in merged.items[:position])


@given(rankings, rankings, st.integers(0, 1000))
def test_while_both_have_items_the_teams_differ_by_one_at_most(
    control: list[int], treatment: list[int], seed: int
) -> None:
    count = min(len(control), len(treatment))
    merged = team_draft(control, treatment, count, np.random.default_rng(seed))
    assert abs(sum(merged.treatment) * 2 - len(merged.treatment)) <= 1


def test_equal_rankings_give_the_ranking_and_fair_teams_at_every_place() -> None:
    generator = np.random.default_rng(0)
    ranking = list(range(10))
    teams = []
    for _ in range(4_000):
        merged = team_draft(ranking, ranking, 10, generator)
        assert list(merged.items) == ranking
        teams.append(merged.treatment)
    assert np.abs(np.mean(teams, axis=0) - 0.5).max() < 0.035


def test_the_same_seed_gives_the_same_list() -> None:
    lists = [team_draft([1, 2, 3], [3, 4, 5], 4, np.random.default_rng(7)) for _ in range(2)]
    assert lists[0] == lists[1]


def test_coins_are_those_of_user_experiment_and_state() -> None:
    def tosses(*names: str) -> tuple[int, ...]:
        return tuple(coins_of(*names).integers(2, size=64).tolist())

    base = ("one", "user1", "2024-01-01")
    assert tosses(*base) == tosses(*base)
    others = [("two", "user1", "2024-01-01"), ("one", "user2", "2024-01-01"), ("one", "user1", "2024-01-02")]
    assert len({tosses(*base), *(tosses(*other) for other in others)}) == 4


def test_over_users_both_teams_begin_equally_often() -> None:
    begins = [team_draft("ab", "cd", 1, coins_of("e", f"u{number}", "s")).treatment[0] for number in range(2_000)]
    assert sum(begins) == pytest.approx(1_000, abs=120)
