"""How many users an experiment needs, how long that takes, and what it could have found.

Effects are absolute differences of the metric. Variances are those of one user's contribution to it, so the same
formulas serve proportions, means and ratios.
"""

import math

from scipy import optimize, stats

from recommender_assets.experiments.sequential import boundary_for


def proportion_variances(baseline: float, effect: float) -> tuple[float, float]:
    """Variances of one yes-or-no outcome per user, in control and treatment.

    Raises:
        ValueError: a baseline, or a baseline plus effect, that is not a proportion between 0 and 1.
    """
    for name, rate in (("baseline", baseline), ("baseline + min_effect_size", baseline + effect)):
        if not 0 < rate < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {rate:g}")
    return baseline * (1 - baseline), (baseline + effect) * (1 - baseline - effect)


def clustered_click_variances(
    baseline: float, effect: float, lists_per_user: float, correlation: float
) -> tuple[float, float]:
    """Variances of a user's click-through rate over several lists whose outcomes resemble each other.

    Args:
        baseline: click-through rate in control.
        effect: absolute difference in treatment.
        lists_per_user: lists that a user is served on average, at least 1.
        correlation: intra-class correlation of two lists of one user, 0 to 1. The variance of a mean of m of them is
            p (1 - p) (1 + (m - 1) correlation) / m (Kish 1965, the design effect).
    """
    if lists_per_user < 1 or not 0 <= correlation <= 1:
        raise ValueError(
            f"lists_per_user must be at least 1 and correlation 0..1, got {lists_per_user} and {correlation}"
        )
    design = (1 + (lists_per_user - 1) * correlation) / lists_per_user
    control, treatment = proportion_variances(baseline, effect)
    return control * design, treatment * design


def users_per_arm(variances: tuple[float, float], effect: float, power: float, level: float) -> int:
    """Users that each of two equal arms needs to find the effect with the given power in one look at the end.

    `(z_{1 - level/2} + z_power)^2 (var_c + var_t) / effect^2`, rounded up (Chow, Shao, Wang 2008, section 4.2.1).
    A rate of 0.10 against 0.12 at power 0.95 and level 0.05 needs 6,355 users an arm (6,354.4 rounded up).
    """
    _require(effect, power, level)
    z = float(stats.norm.isf(level / 2) + stats.norm.ppf(power))
    return max(2, math.ceil(z**2 * sum(variances) / effect**2))


def achieved_power(users: tuple[int, int], variances: tuple[float, float], effect: float, level: float) -> float:
    """Probability that a two-sided test finds the effect with these users in control and treatment."""
    error = _standard_error(users, variances)
    if error == 0:
        return 1.0
    z = float(stats.norm.isf(level / 2))
    shift = abs(effect) / error
    return float(stats.norm.sf(z - shift) + stats.norm.cdf(-z - shift))


def minimum_detectable_effect(
    users: tuple[int, int], variances: tuple[float, float], power: float, level: float
) -> float:
    """The smallest absolute effect that these users would show with the given power."""
    _require(1.0, power, level)
    return float(stats.norm.isf(level / 2) + stats.norm.ppf(power)) * _standard_error(users, variances)


def sequential_users_per_arm(variances: tuple[float, float], effect: float, power: float, level: float) -> int:
    """Users an arm needs at most when one may look and stop every day, with the same power at the last look.

    The price of looking: usually 1.5 to 2.5 times `users_per_arm`, while a larger effect ends it earlier.
    """
    _require(effect, power, level)
    z = float(stats.norm.ppf(power))

    def margin(log_error: float) -> float:
        error = math.exp(log_error)
        return abs(effect) - boundary_for(error, level).half_width(error) - z * error

    log_error = optimize.brentq(margin, math.log(abs(effect)) - 20, math.log(abs(effect)))
    return max(2, math.ceil(sum(variances) / math.exp(2 * float(log_error))))


def days_needed(users_an_arm: int, arms: int, new_users_per_day: float, traffic_share: float = 1.0) -> int:
    """Days until every arm has its users, at the observed traffic.

    Raises:
        ValueError: no traffic, a share outside (0, 1], or fewer than two arms.
    """
    if not new_users_per_day > 0:
        raise ValueError(f"new_users_per_day must be positive, got {new_users_per_day}")
    if not 0 < traffic_share <= 1:
        raise ValueError(f"traffic_share must lie between 0 and 1, got {traffic_share}")
    if arms < 2:
        raise ValueError(f"an experiment needs at least 2 arms, got {arms}")
    return math.ceil(users_an_arm * arms / (new_users_per_day * traffic_share))


def _standard_error(users: tuple[int, int], variances: tuple[float, float]) -> float:
    return math.sqrt(variances[0] / users[0] + variances[1] / users[1])


def _require(effect: float, power: float, level: float) -> None:
    if not effect > 0:
        raise ValueError(f"min_effect_size must be positive (an absolute difference of the metric), got {effect}")
    if not 0 < power < 1:
        raise ValueError(f"statistical_power must lie between 0 and 1, both excluded, got {power}")
    if not 0 < level < 1:
        raise ValueError(f"significance_level must lie between 0 and 1, both excluded, got {level}")
