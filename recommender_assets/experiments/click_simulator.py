"""Simulated visitors that look at a list from the top and click what a real user is known to like.

The position-based click model: a click needs that the place was looked at and that the item attracts, independently
(Richardson, Dominowska, Ragno, WWW 2007; Craswell, Zoeter, Taylor, Ramsey, WSDM 2008).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClickModel:
    """How visitors click.

    Attributes:
        position_bias: the place r, counted from 1, is looked at with probability r ** -position_bias.
        liked: probability that an item is clicked which the visitor's model user rated at least `liked_from`.
        known: the same for an item rated lower.
        unknown: the same for an item that the model user never rated.
        liked_from: the rating from which an item counts as liked.
    """

    position_bias: float = 1.0
    liked: float = 0.6
    known: float = 0.1
    unknown: float = 0.02
    liked_from: float = 4.0

    def __post_init__(self) -> None:
        for field in ("liked", "known", "unknown"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field} must be a probability, got {getattr(self, field)}")
        if not self.position_bias >= 0:
            raise ValueError(f"position_bias must not be negative, got {self.position_bias}")

    def probabilities(self, items: Sequence[str], ratings: Mapping[str, float]) -> NDArray[np.float64]:
        """Shape (items,): probability of a click on each item of a list, for a visitor with these held-out ratings."""
        attraction = [self._attraction(ratings.get(item)) for item in items]
        places = np.arange(1, len(items) + 1, dtype=np.float64)
        return places**-self.position_bias * np.array(attraction, dtype=np.float64)

    def clicks(
        self, items: Sequence[str], ratings: Mapping[str, float], generator: np.random.Generator
    ) -> tuple[str, ...]:
        """The items that one visitor clicks in one list, in the order of the list."""
        clicked = generator.random(len(items)) < self.probabilities(items, ratings)
        return tuple(item for item, hit in zip(items, clicked, strict=True) if hit)

    def _attraction(self, rating: float | None) -> float:
        if rating is None:
            return self.unknown
        return self.liked if rating >= self.liked_from else self.known


@dataclass(frozen=True)
class Visitor:
    """A simulated visitor: an independent draw of a real user's preferences.

    Attributes:
        told: item -> rating, what the service learns before the first list.
        kept: item -> rating, what decides about clicks.
    """

    told: dict[str, float]
    kept: dict[str, float]


def draw_visitor(
    known: Mapping[str, float], held_out: Mapping[str, float], generator: np.random.Generator, most_told: int = 20
) -> Visitor:
    """A visitor that tells a random part of what a real user rated, and clicks by what no model has learned from.

    Args:
        known: item -> rating, the user's ratings that models may have been trained on.
        held_out: item -> rating, the user's ratings outside every training.
        generator: draws which of the known ones are told.
        most_told: how many at most.

    Raises:
        ValueError: no known rating, or none held out.
    """
    if not known or not held_out:
        raise ValueError(
            "a visitor needs a user with ratings of both kinds, "
            f"got {len(known)} that models know and {len(held_out)} held out"
        )
    items = sorted(known)
    told = generator.choice(len(items), min(len(items), most_told), replace=False)
    return Visitor({items[place]: known[items[place]] for place in told.tolist()}, dict(held_out))
