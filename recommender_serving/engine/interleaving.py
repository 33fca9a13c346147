"""Team-draft interleaving: one list from two rankers, and which of them placed each item.

Radlinski, Kurup, Joachims (CIKM 2008), "How Does Clickthrough Data Reflect Retrieval Quality?", algorithm 2.
"""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class InterleavedList(Generic[T]):
    """A merged list.

    Attributes:
        items: the items in the order they are shown.
        treatment: for each of them, whether the treatment's team placed it, else control's.
    """

    items: tuple[T, ...]
    treatment: tuple[bool, ...]


def team_draft(
    control: Sequence[T], treatment: Sequence[T], count: int, generator: np.random.Generator
) -> InterleavedList[T]:
    """Let the two rankers pick in turn their best item that is not yet shown; who picks first is tossed every round.

    Args:
        control: control's ranking, best first, without repetition.
        treatment: the treatment's.
        count: length of the merged list; shorter only if the two rankings have fewer different items.
        generator: tosses the coins.
    """
    queues = {False: iter(control), True: iter(treatment)}
    items: dict[T, bool] = {}
    exhausted: set[bool] = set()
    while len(items) < count and len(exhausted) < 2:
        first = bool(generator.integers(2))
        for team in (first, not first):
            if len(items) == count:
                break
            pick = next((item for item in queues[team] if item not in items), None)
            if pick is None:
                exhausted.add(team)
            else:
                items[pick] = team
    return InterleavedList(tuple(items), tuple(items.values()))


def coins_of(experiment: str, user_id: str, state: str) -> np.random.Generator:
    """Coins for one user of an experiment: every replica tosses alike, and anew when the user's state changes.

    Args:
        experiment: its name.
        user_id: who gets the list.
        state: anything that changes with what the two rankings are made from.
    """
    text = "\0".join(("interleaving", experiment, user_id, state)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big"))
