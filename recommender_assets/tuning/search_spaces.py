"""Which hyper-parameters are searched, and between which bounds.

`factors` is not searched: both heads of a model share it, and more of them nearly always win at the cost of memory and
time in the service, which is a decision for a person.
"""

from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from recommender_assets.settings import NmfSettings, SvdSettings

HyperParameters = TypeVar("HyperParameters", bound=SvdSettings | NmfSettings)
Head = Literal["rating", "ranking"]


class Range(NamedTuple):
    """Bounds of one hyper-parameter, both included; whole numbers where the bounds are; `log` spreads by ratios."""

    key: str
    low: float
    high: float
    log: bool


_RANKING = (
    Range("ranking_regularization", 0.5, 100.0, True),
    Range("ranking_item_regularization", 0.5, 100.0, True),
    Range("unobserved_weight", 0.01, 1.0, True),
)

SEARCH_SPACES: dict[tuple[str, str], tuple[Range, ...]] = {
    ("svd", "rating"): (
        Range("learning_rate", 0.002, 0.03, True),
        Range("learning_rate_decay", 0.9, 1.0, False),
        Range("regularization", 0.01, 0.3, True),
        Range("bias_regularization", 0.0, 0.5, False),
        Range("epochs", 20, 150, True),
        Range("user_regularization", 0.5, 50.0, True),
        Range("user_bias_regularization", 0.5, 30.0, True),
    ),
    ("nmf", "rating"): (
        Range("alpha", 0.0, 1.0, False),
        Range("regularization", 0.5, 100.0, True),
        Range("iterations", 5, 40, True),
        Range("user_regularization", 0.5, 100.0, True),
    ),
    ("svd", "ranking"): _RANKING,
    ("nmf", "ranking"): _RANKING,
}


def search_space(algorithm: str, head: Head, configured: SvdSettings | NmfSettings) -> tuple[Range, ...]:
    """Bounds for a head, widened where the configured value lies outside: it is always the first one tried."""
    return tuple(
        bounds._replace(
            low=min(bounds.low, getattr(configured, bounds.key)), high=max(bounds.high, getattr(configured, bounds.key))
        )
        for bounds in SEARCH_SPACES[algorithm, head]
    )


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Values to four significant digits, as they are tried and as they are shown."""
    return {key: value if isinstance(value, int) else float(f"{value:.4g}") for key, value in values.items()}


def with_values(configured: HyperParameters, values: dict[str, Any]) -> HyperParameters:
    """The configured hyper-parameters with some replaced, validated as those of a file are.

    Raises:
        msgspec.ValidationError: a value breaks a rule of the settings.
    """
    return msgspec.convert({**msgspec.to_builtins(configured), **values}, type(configured))
