"""Comparisons that stay valid however often one looks: a confidence sequence for the difference of two arms."""

import math
from dataclasses import dataclass

from scipy import special

# Below this many users an arm's standard error is too rough for the central limit theorem the sequence rests on.
MINIMUM_USERS = 100


@dataclass(frozen=True)
class Look:
    """One look at a running experiment.

    Attributes:
        interval: with probability 1 - level, the true difference lies in the intervals of all looks at once.
        p_value: may be read at any time, and stopped upon.
    """

    interval: tuple[float, float]
    p_value: float


@dataclass(frozen=True)
class MixtureBoundary:
    """The two-sided normal-mixture boundary, tightest where the experiment is planned to end.

    Robbins (1970), "Statistical Methods Related to the Law of the Iterated Logarithm"; with estimated variances:
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (Annals of Statistics 2024), "Time-uniform central limit theory and
    asymptotic confidence sequences".

    Attributes:
        level: probability that the sequence ever excludes the truth.
        prior: information (1 / variance) of the mixing distribution.
    """

    level: float
    prior: float

    def half_width(self, standard_error: float) -> float:
        """Half the width of the interval at a look with this standard error of the difference."""
        information = standard_error**-2
        total = information + self.prior
        return math.sqrt(total * math.log(total / (self.prior * self.level**2))) / information

    def look(self, difference: float, standard_error: float) -> Look:
        """Interval and p-value at one look; without any spread nothing can be said yet."""
        if standard_error <= 0:
            return Look((-math.inf, math.inf), 1.0)
        half = self.half_width(standard_error)
        information = standard_error**-2
        total = information + self.prior
        log_p = 0.5 * math.log(total / self.prior) - (difference * information) ** 2 / (2 * total)
        return Look((difference - half, difference + half), math.exp(min(0.0, log_p)))


def boundary_for(planned_standard_error: float, level: float) -> MixtureBoundary:
    """The boundary that is tightest at the planned standard error of the difference.

    It has to be fixed before the start. Howard, Ramdas, McAuliffe, Sekhon (Annals of Statistics 2021), proposition 3.

    Raises:
        ValueError: an error that is not positive or a level outside (0, 1).
    """
    if not planned_standard_error > 0:
        raise ValueError(f"planned_standard_error must be positive, got {planned_standard_error}")
    if not 0 < level < 1:
        raise ValueError(f"significance_level must lie between 0 and 1, got {level}")
    branch = -float(special.lambertw(-(level**2) / math.e, -1).real)
    return MixtureBoundary(level, planned_standard_error**-2 / (branch - 1))
