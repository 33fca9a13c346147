import time
from pathlib import Path
from typing import Any

import pytest

from recommender_assets.experiments.attribution import DAY_US
from recommender_assets.experiments.logged import analyse_experiment, observed_baseline
from recommender_assets.experiments.records import SimulatedDays, begin, end, write_simulated_days
from recommender_serving.engine.running_experiments import ExperimentError, RunningExperiment
from tests.unit.recommender_assets.experiments.logged_tables import write_traffic
from tests.unit.recommender_assets.experiments.runs import definition

NOW_US = time.time_ns() // 1_000
START_US = NOW_US - 5 * DAY_US
RATES = {"control": 0.2, "treatment": 0.5}


def started(root: Path, users_per_arm: int = 300, **changes: Any) -> None:
    asked = definition(**changes)
    begin(
        root,
        RunningExperiment(definition=asked, started_us=START_US, users_per_arm=users_per_arm, variances=(0.16, 0.1875)),
    )


def test_what_was_logged_gives_a_verdict(tmp_path: Path) -> None:
    started(tmp_path)
    write_traffic(tmp_path, RATES, START_US, days=4)
    (result,) = analyse_experiment(tmp_path, "one").results
    assert result.decision == "treatment"
    assert result.samples == {"control": 400, "treatment": 400}
    assert result.rates == {"control": pytest.approx(0.2, abs=0.06), "treatment": pytest.approx(0.5, abs=0.08)}
    assert [look.day for look in result.looks] == [0, 1, 2, 3]
    assert result.traffic == "logged"
    assert "users of this service" in result.population


def test_only_what_happened_until_then_counts(tmp_path: Path) -> None:
    started(tmp_path)
    write_traffic(tmp_path, RATES, START_US, days=4)
    (result,) = analyse_experiment(tmp_path, "one", START_US + 2 * DAY_US).results
    assert result.samples == {"control": 200, "treatment": 200}
    assert result.decision == "keep_running"


def test_lists_before_the_start_after_the_end_forced_or_of_others_do_not_count(tmp_path: Path) -> None:
    started(tmp_path)
    write_traffic(tmp_path, RATES, START_US, users=150)
    write_traffic(tmp_path, RATES, START_US - DAY_US, users=50)
    write_traffic(tmp_path, RATES, START_US, users=50, forced=True)
    write_traffic(tmp_path, RATES, START_US, users=50, experiment="other")
    write_traffic(tmp_path, {None: 0.3}, START_US, users=50, experiment=None)
    end(tmp_path, "one", "enough")
    write_traffic(tmp_path, RATES, NOW_US + DAY_US, users=50)
    (result,) = analyse_experiment(tmp_path, "one", NOW_US + 10 * DAY_US).results
    assert result.samples == {"control": 150, "treatment": 150}


def test_without_exposures_or_with_one_arm_there_is_no_verdict_and_no_error(tmp_path: Path) -> None:
    started(tmp_path)
    assert analyse_experiment(tmp_path, "one").results[0].decision == "not_enough_data"
    write_traffic(tmp_path, {"treatment": 0.5}, START_US, users=5)
    (result,) = analyse_experiment(tmp_path, "one").results
    assert (result.decision, result.samples) == ("not_enough_data", {"control": 0, "treatment": 5})


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_without_a_click_or_with_nothing_but_clicks_no_difference_is_found(tmp_path: Path, rate: float) -> None:
    started(tmp_path)
    write_traffic(tmp_path, {"control": rate, "treatment": rate}, START_US)
    (result,) = analyse_experiment(tmp_path, "one").results
    assert (result.decision, result.difference, result.p_value) == ("no_difference_found", 0.0, 1.0)


def test_a_simulated_experiment_says_so_and_its_seconds_are_days(tmp_path: Path) -> None:
    started(tmp_path)
    write_traffic(tmp_path, RATES, START_US, days=1)
    days = SimulatedDays(begins_us=(START_US, START_US + 200, START_US + 402), population="draws")
    write_simulated_days(tmp_path, "one", days)
    (result,) = analyse_experiment(tmp_path, "one").results
    assert (result.traffic, result.population) == ("simulated", "draws")
    assert [(look.day, look.users) for look in result.looks] == [(0, 400), (1, 800)]


def test_what_users_did_before_takes_variance_out_and_who_is_known_is_a_segment(tmp_path: Path) -> None:
    started(tmp_path)
    for rate, first in ((1.0, 0), (0.0, 200)):  # half of the users always click, half never
        write_traffic(tmp_path, {None: rate}, START_US - DAY_US, users=200, experiment=None, first_user=first)
        arms = {"control": rate, "treatment": max(rate, 0.2)}
        write_traffic(tmp_path, arms, START_US, users=100, first_user=first, source="folded_in" if rate else "popular")
    (result,) = analyse_experiment(tmp_path, "one").results
    assert result.samples == {"control": 200, "treatment": 200}
    assert result.method.endswith("CUPED")
    assert result.variance_removed is not None
    assert result.variance_removed > 0.7
    assert set(result.segments) == {"folded_in", "popular"}
    assert {name: effect.users for name, effect in result.segments.items()} == {"folded_in": 200, "popular": 200}
    assert result.segments["folded_in"].difference == 0
    assert result.segments["popular"].difference == pytest.approx(0.2, abs=0.1)
    assert result.segments["popular"].p_value < 0.001


def test_without_lists_before_nothing_is_explained(tmp_path: Path) -> None:
    started(tmp_path)
    write_traffic(tmp_path, RATES, START_US, first_user=0)
    write_traffic(tmp_path, {None: 0.3}, START_US - 30 * DAY_US, experiment=None, first_user=0)  # too long ago
    write_traffic(tmp_path, {None: 0.3}, START_US - DAY_US, experiment=None)  # other users
    write_traffic(tmp_path, {None: 0.3}, START_US + DAY_US, experiment=None, first_user=0)  # not before
    assert analyse_experiment(tmp_path, "one").results[0].variance_removed is None


def test_an_experiment_that_was_never_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="'one' was never started"):
        analyse_experiment(tmp_path, "one")


def test_the_baseline_is_what_users_outside_experiments_did(tmp_path: Path) -> None:
    write_traffic(tmp_path, {None: 0.3}, NOW_US - 4 * DAY_US, users=800, days=4, experiment=None)
    write_traffic(tmp_path, RATES, NOW_US - 4 * DAY_US, users=100)
    baseline = observed_baseline(tmp_path, "ctr")
    assert baseline.moments.users == 800
    assert baseline.moments.rate == pytest.approx(0.3, abs=0.05)
    assert baseline.users_per_day == pytest.approx(200, rel=0.01)
    assert baseline.source == "800 users in the last 4.0 days"


def test_a_sample_of_the_users_is_scaled_up(tmp_path: Path) -> None:
    write_traffic(tmp_path, {None: 0.3}, NOW_US - 2 * DAY_US, users=2_000, experiment=None, logged_share=0.5)
    baseline = observed_baseline(tmp_path, "conversion")
    assert baseline.moments.users == pytest.approx(1_000, rel=0.1)  # those that a half share holds
    assert baseline.users_per_day == pytest.approx(1_000, rel=0.1)


def test_without_a_log_there_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no list outside experiments was logged in the last 14 days"):
        observed_baseline(tmp_path, "ctr")
