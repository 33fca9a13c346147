"""Do the experiments' tests keep their word? Many simulated experiments with users that differ and come back.

    python -m benchmarks.experiments --runs 10000

The last line is one JSON object.
"""

import argparse
import json
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy import stats

from recommender_assets.experiments.arm_moments import arm_moments
from recommender_assets.experiments.click_simulator import ClickModel
from recommender_assets.experiments.comparison import compare
from recommender_assets.experiments.interleaving_preference import preference
from recommender_assets.experiments.power import clustered_click_variances, users_per_arm
from recommender_assets.experiments.sample_ratio import ALARM_LEVEL, sample_ratio_p_value
from recommender_assets.experiments.sequential import boundary_for
from recommender_serving.engine.interleaving import team_draft

LEVEL, POWER, DAYS = 0.05, 0.95, 14
BASELINE, CORRELATION, LISTS_PER_DAY = 0.10, 0.10, 0.4
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Arm:
    """Lists and clicked lists per user and day, shape (users, days), and both before the experiment, shape (users,)."""

    lists: Counts
    clicks: Counts
    lists_before: Counts
    clicks_before: Counts


def draw_arm(users: int, effect: float, generator: np.random.Generator) -> Arm:
    """Users with rates of their own (beta) who come back on several days (Poisson, at least one list)."""
    concentration = 1 / CORRELATION - 1
    rate = BASELINE + effect
    taste = generator.beta(rate * concentration, (1 - rate) * concentration, users)
    lists = generator.poisson(LISTS_PER_DAY, (users, DAYS))
    lists[np.arange(users), generator.integers(DAYS, size=users)] += 1
    before = 1 + generator.poisson(LISTS_PER_DAY * DAYS, users)
    return Arm(
        lists,
        generator.binomial(lists, taste[:, None]),
        before,
        generator.binomial(before, np.clip(taste - effect, 0, 1)),
    )


def looks(control: Arm, treatment: Arm) -> list[tuple[float, float]]:
    """Difference and its standard error at the end of each day, over the users seen so far."""
    found = []
    for day in range(1, DAYS + 1):
        arms = []
        for arm in (control, treatment):
            lists, clicks = arm.lists[:, :day].sum(axis=1), arm.clicks[:, :day].sum(axis=1)
            seen = lists > 0
            arms.append(arm_moments(clicks[seen], lists[seen]))
        error = math.hypot(arms[0].standard_error, arms[1].standard_error)
        found.append((arms[1].rate - arms[0].rate, error))
    return found


def planned_variances(effect: float) -> tuple[float, float]:
    """Variances of a user's click-through rate in the simulated population, measured on a pilot of control users."""
    pilot = draw_arm(200_000, 0.0, np.random.default_rng(99))
    control = arm_moments(pilot.clicks.sum(axis=1), pilot.lists.sum(axis=1)).variance
    ratio = np.divide(*reversed(clustered_click_variances(BASELINE, effect, 1, 0)))
    return control, control * float(ratio)


def false_positives(runs: int, users: int) -> dict[str, float]:
    """A/A experiments: the fixed test at the horizon, and the sequential one looked at every day."""
    generator = np.random.default_rng(0)
    boundary = boundary_for(math.sqrt(sum(planned_variances(0.02)) / users), LEVEL)
    p_values, stopped, pooled = [], 0, 0
    for _ in track(range(runs), "A/A experiments"):
        control, treatment = draw_arm(users, 0.0, generator), draw_arm(users, 0.0, generator)
        arms = [arm_moments(arm.clicks.sum(axis=1), arm.lists.sum(axis=1)) for arm in (control, treatment)]
        p_values.append(compare(arms[0], arms[1], LEVEL).p_value)
        stopped += any(boundary.look(*look).p_value < LEVEL for look in looks(control, treatment))
        pooled += pooled_z_test(control, treatment) < LEVEL
    return {
        "aa_false_positive_rate": float(np.mean(np.array(p_values) < LEVEL)),
        "aa_binomial_error_2se": 2 * math.sqrt(LEVEL * (1 - LEVEL) / runs),
        "aa_uniformity_ks_p_value": float(stats.kstest(p_values, "uniform").pvalue),
        "sequential_false_positive_rate": stopped / runs,
        "pooled_z_test_false_positive_rate": pooled / runs,
    }


def pooled_z_test(control: Arm, treatment: Arm) -> float:
    """The usual mistake, for comparison: every list counted as an independent trial."""
    clicks = [arm.clicks.sum() for arm in (control, treatment)]
    lists = [arm.lists.sum() for arm in (control, treatment)]
    rate = sum(clicks) / sum(lists)
    error = math.sqrt(rate * (1 - rate) * (1 / lists[0] + 1 / lists[1]))
    return float(2 * stats.norm.sf(abs(clicks[1] / lists[1] - clicks[0] / lists[0]) / error))


def planted_effect(runs: int, effect: float) -> dict[str, float]:
    """Experiments of the planned size with a planted effect: power, coverage, days saved by looking, CUPED."""
    generator = np.random.default_rng(1)
    variances = planned_variances(effect)
    users = users_per_arm(variances, effect, POWER, LEVEL)
    boundary = boundary_for(math.sqrt(sum(variances) / users), LEVEL)
    found, covered, sequential, days, removed, predicted = 0, 0, 0, [], [], []
    for _ in track(range(runs), "planted effects"):
        control, treatment = draw_arm(users, 0.0, generator), draw_arm(users, effect, generator)
        plain = [arm_moments(arm.clicks.sum(axis=1), arm.lists.sum(axis=1)) for arm in (control, treatment)]
        comparison = compare(plain[0], plain[1], LEVEL)
        found += comparison.p_value < LEVEL
        covered += comparison.interval[0] <= effect <= comparison.interval[1]
        crossed = [day for day, look in enumerate(looks(control, treatment), 1) if boundary.look(*look).p_value < LEVEL]
        sequential += bool(crossed)
        days.append(crossed[0] if crossed else DAYS)
        adjusted = [
            arm_moments(arm.clicks.sum(axis=1), arm.lists.sum(axis=1), (arm.clicks_before, arm.lists_before))
            for arm in (control, treatment)
        ]
        removed.append(compare(adjusted[0], adjusted[1], LEVEL).variance_removed or 0.0)
        predicted.append(explained_share(control))
    return {
        "planted_effect": effect,
        "users_per_arm": users,
        "power_at_planned": found / runs,
        "coverage": covered / runs,
        "sequential_power_at_planned": sequential / runs,
        "sequential_mean_days_of_14": float(np.mean(days)),
        "cuped_variance_removed": float(np.mean(removed)),
        "cuped_variance_removed_in_theory": float(np.mean(predicted)),
    }


def explained_share(arm: Arm) -> float:
    """Squared correlation of the users' contributions before and in the experiment (Deng et al. 2013)."""
    columns = []
    for clicks, lists in ((arm.clicks.sum(axis=1), arm.lists.sum(axis=1)), (arm.clicks_before, arm.lists_before)):
        columns.append(clicks - clicks.sum() / lists.sum() * lists)
    return float(np.corrcoef(columns)[0, 1] ** 2)


def sample_ratio(runs: int) -> dict[str, float]:
    """How often the alarm sees a 51/49 split of 100,000 users, and how often a true 50/50 one."""
    generator = np.random.default_rng(2)
    shares = {"control": 1.0, "treatment": 1.0}

    def alarms(share: float) -> float:
        draws = generator.binomial(100_000, share, runs)
        return float(
            np.mean(
                [
                    sample_ratio_p_value({"control": int(n), "treatment": 100_000 - int(n)}, shares) < ALARM_LEVEL
                    for n in draws
                ]
            )
        )

    return {"sample_ratio_alarm_51_49": alarms(0.51), "sample_ratio_false_alarm": alarms(0.5)}


def rankings(strength: float, generator: np.random.Generator) -> tuple[list[int], list[int], dict[str, float]]:
    """Two noisy rankings of 100 items, the second `strength` times as clear, and ten items that the visitor likes."""
    liked = generator.choice(100, 10, replace=False)
    relevant = np.isin(np.arange(100), liked)
    control, treatment = (np.argsort(-(clear * relevant + generator.normal(0, 1, 100))) for clear in (1.0, strength))
    return control.tolist(), treatment.tolist(), {str(item): 5.0 for item in liked}


def interleaved_clicks(strength: float, generator: np.random.Generator) -> tuple[int, int]:
    """One visitor's clicks on control's and on treatment's items in one merged list of ten."""
    control, treatment, kept = rankings(strength, generator)
    merged = team_draft(control, treatment, 10, generator)
    clicked = set(ClickModel().clicks([str(item) for item in merged.items], kept, generator))
    teams = [team for item, team in zip(merged.items, merged.treatment, strict=True) if str(item) in clicked]
    return teams.count(False), teams.count(True)


def click_rates(strength: float, visitors: int, generator: np.random.Generator) -> tuple[float, float]:
    """Share of visitors that click in a list of ten by control alone, and by the treatment alone."""
    clicked = np.zeros((visitors, 2), dtype=bool)
    for visitor in range(visitors):
        *ranked, kept = rankings(strength, generator)
        for arm in (0, 1):
            clicked[visitor, arm] = bool(ClickModel().clicks([str(item) for item in ranked[arm][:10]], kept, generator))
    control, treatment = clicked.mean(axis=0)
    return float(control), float(treatment)


def interleaving(runs: int) -> dict[str, float]:
    """Team draft against an A/B test of the same two rankers and the same click model: lists until a decision."""
    generator = np.random.default_rng(3)
    aa = np.array([interleaved_clicks(1.0, generator) for _ in track(range(runs * 200), "interleaving, A/A")])
    alarms = [preference(one[:, 0], one[:, 1], LEVEL).p_value < LEVEL for one in np.split(aa, runs)]
    ab = np.array([interleaved_clicks(1.25, generator) for _ in track(range(20_000), "interleaving, planted effect")])
    credit = np.sign(ab[:, 1] - ab[:, 0])  # lists without a click or with a tie count as 0
    z = float(stats.norm.isf(LEVEL / 2) + stats.norm.ppf(POWER))
    control, treatment = click_rates(1.25, 20_000, generator)
    interleaved_lists = z**2 * credit.var() / credit.mean() ** 2
    ab_lists = 2 * users_per_arm(
        (control * (1 - control), treatment * (1 - treatment)), treatment - control, POWER, LEVEL
    )
    return {
        "interleaving_aa_preference": float(np.sign(aa[:, 1] - aa[:, 0]).mean()),
        "interleaving_aa_false_positive_rate": float(np.mean(alarms)),
        "interleaving_lists_needed": round(interleaved_lists),
        "ab_lists_needed": ab_lists,
        "interleaving_saving": float(ab_lists / interleaved_lists),
    }


def main() -> None:
    """Run everything and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="simulated experiments of each kind (default 10000)")
    parser.add_argument("--users", type=int, default=500, help="users per arm of the A/A experiments (default 500)")
    arguments = parser.parse_args()
    figures = {
        "runs": arguments.runs,
        **false_positives(arguments.runs, arguments.users),
        **planted_effect(arguments.runs, effect=0.02),
        **sample_ratio(arguments.runs),
        **interleaving(max(10, arguments.runs // 10)),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
