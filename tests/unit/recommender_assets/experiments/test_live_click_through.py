from pathlib import Path

import msgspec
import numpy as np
import pytest

from recommender_assets.experiments.arm_moments import arm_moments
from recommender_assets.experiments.attribution import DAY_US, HOUR_US
from recommender_assets.experiments.live_click_through import ClickThrough, click_through, click_through_fault
from recommender_assets.settings import LiveGuardrailSettings
from recommender_serving.engine.champion_pointer import ChampionPointer
from tests.unit.recommender_assets.experiments.logged_tables import write_traffic

RULES = LiveGuardrailSettings(click_through_fall=0.5, click_through_users=200)
POINTER = ChampionPointer(
    version="svd-2", predecessor="svd-1", deployed={"svd": "svd-2"}, promoted_at="2026-01-10T00:00:00Z"
)
PROMOTED_US = 1_768_003_200_000_000
NOW_US = PROMOTED_US + DAY_US


def write(
    root: Path, version: str, rate: float, start_us: int, *, users: int = 400, experiment: str | None = None
) -> None:
    fields = {"version": version, "algorithm": "svd"}
    arm = None if experiment is None else "treatment"
    write_traffic(root, {arm: rate}, start_us, users=users, experiment=experiment, **fields)


def found_after(root: Path, before: float, after: float) -> ClickThrough:
    write(root, "svd-1", before, PROMOTED_US - DAY_US)
    write(root, "svd-2", after, PROMOTED_US)
    found = click_through(root, POINTER, RULES, NOW_US)
    assert found is not None
    return found


def test_a_large_fall_is_a_fault_with_its_numbers(tmp_path: Path) -> None:
    found = found_after(tmp_path, 0.3, 0.05)
    assert (found.champion.users, found.before.users) == (400, 400)
    fault = click_through_fault(found, POINTER, RULES)
    assert fault == (
        f"click-through is {found.champion.rate:.1%} over 400 users, surely less than 50% of the "
        f"{found.before.rate:.1%} of svd-1"
    )


@pytest.mark.parametrize(("before", "after"), [(0.3, 0.3), (0.3, 0.2), (0.3, 0.14), (0.1, 0.5), (0.0, 0.0), (1.0, 1.0)])
def test_no_fall_a_small_one_or_one_that_may_be_chance_is_none(tmp_path: Path, before: float, after: float) -> None:
    assert click_through_fault(found_after(tmp_path, before, after), POINTER, RULES) is None


def test_any_sure_fall_is_a_fault_if_none_is_allowed(tmp_path: Path) -> None:
    found = found_after(tmp_path, 0.5, 0.3)
    strict = msgspec.structs.replace(RULES, click_through_fall=0.0)
    assert click_through_fault(found, POINTER, strict) is not None
    assert click_through_fault(found, POINTER, RULES) is None


def test_with_few_users_of_either_nothing_is_known(tmp_path: Path) -> None:
    assert click_through(tmp_path, POINTER, RULES, NOW_US) is None, "no table"
    write(tmp_path, "svd-1", 0.3, PROMOTED_US - DAY_US)
    write(tmp_path, "svd-2", 0.3, PROMOTED_US, users=199)
    assert click_through(tmp_path, POINTER, RULES, NOW_US) is None
    write(tmp_path, "svd-2", 0.3, PROMOTED_US + HOUR_US, users=1)
    assert click_through(tmp_path, POINTER, RULES, NOW_US) is not None
    alone = msgspec.structs.replace(POINTER, predecessor=None)
    assert click_through(tmp_path, alone, RULES, NOW_US) is None


def test_only_lists_outside_experiments_by_either_in_its_own_time_count(tmp_path: Path) -> None:
    expected = found_after(tmp_path, 0.5, 0.5)
    write(tmp_path, "svd-1", 0.0, PROMOTED_US - 15 * DAY_US)
    write(tmp_path, "svd-1", 0.0, PROMOTED_US + HOUR_US)
    write(tmp_path, "svd-2", 0.0, PROMOTED_US - HOUR_US)
    write(tmp_path, "nmf-2", 0.0, PROMOTED_US)
    write(tmp_path, "svd-2", 0.0, PROMOTED_US, experiment="one")
    found = click_through(tmp_path, POINTER, RULES, NOW_US)
    assert found is not None
    assert (found.champion.users, found.before.users) == (400, 400)
    assert (found.champion.rate, found.before.rate) == (expected.champion.rate, expected.before.rate)


def test_a_list_counts_when_its_hour_is_over(tmp_path: Path) -> None:
    write(tmp_path, "svd-1", 0.3, PROMOTED_US - DAY_US)
    write(tmp_path, "svd-2", 0.3, NOW_US - HOUR_US // 2)
    assert click_through(tmp_path, POINTER, RULES, NOW_US) is None
    assert click_through(tmp_path, POINTER, RULES, NOW_US + HOUR_US) is not None


def test_a_click_after_the_hour_does_not_count(tmp_path: Path) -> None:
    found_after(tmp_path, 1.0, 1.0)
    for microseconds, rate in ((499, 0.0), (501, 1.0)):
        rules = msgspec.structs.replace(RULES, click_through_hours=microseconds / HOUR_US)
        found = click_through(tmp_path, POINTER, rules, NOW_US)
        assert found is not None
        assert (found.champion.rate, found.before.rate) == (rate, rate)


def test_a_champion_as_good_as_the_one_before_is_hardly_ever_called_worse_though_it_is_looked_at_often() -> None:
    random = np.random.default_rng(0)
    strict = msgspec.structs.replace(RULES, click_through_fall=0.0)
    alarms = 0
    for _ in range(200):
        clicked = random.random((2, 3_000)) < 0.2
        before = arm_moments(clicked[0])
        looks = (ClickThrough(arm_moments(clicked[1, :users]), before) for users in range(200, 3_001, 100))
        alarms += any(click_through_fault(look, POINTER, strict) for look in looks)
    assert alarms <= 4, "1 % of 200 are 2"
