"""The sample-ratio alarm: users must have arrived in the arms in the planned proportion."""

from collections.abc import Mapping

from scipy import stats

# An alarm stops a verdict, so it has to be rare without a fault: the level that Fabijan et al. (KDD 2019),
# "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", use.
ALARM_LEVEL = 0.0005


def sample_ratio_p_value(users: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Chi-square test of the users per arm against the planned shares.

    Args:
        users: arm -> users that were exposed.
        shares: arm -> planned share of the users; they are put in proportion to each other.

    Raises:
        ValueError: arms that differ between the two, a share that is not positive, or a negative count.
    """
    if set(users) != set(shares):
        raise ValueError(f"users were counted for arms {sorted(users)}, planned are {sorted(shares)}")
    if any(share <= 0 for share in shares.values()) or any(count < 0 for count in users.values()):
        raise ValueError(f"shares must be positive and counts not negative, got {dict(shares)} and {dict(users)}")
    total = sum(users.values())
    if total == 0:
        return 1.0
    scale = total / sum(shares.values())
    arms = sorted(users)
    return float(stats.chisquare([users[arm] for arm in arms], [shares[arm] * scale for arm in arms]).pvalue)
