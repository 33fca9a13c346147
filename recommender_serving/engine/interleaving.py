"""Team-draft interleaving: one list from two rankers, and which of them placed each item.

Radlinski, Kurup, Joachims (CIKM 2008), "How Does Clickthrough Data Reflect Retrieval Quality?", algorithm 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class InterleavedList:
    """A merged list.

    Attributes:
        items: the items in the order they are shown.
        treatment: for each of them, whether the treatment's team placed it, else control's.
    """

    items: tuple[int, ...]
    treatment: tuple[bool, ...]


def team_draft(
    control: Sequence[int], treatment: Sequence[int], count: int, generator: np.random.Generator
) -> InterleavedList:
    """Let the two rankers pick in turn their best item that is not yet shown; who picks first is tossed every round.

    Args:
        control: control's ranking, best first, without repetition.
        treatment: the treatment's.
        count: length of the merged list; shorter only if the two rankings have fewer different items.
        generator: tosses the coins.
    """
    queues = {False: iter(control), True: iter(treatment)}
    items: dict[int, bool] = {}
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
