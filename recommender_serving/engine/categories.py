"""Which categories each item has, compactly: items with the same set of categories share one combination.

A catalogue has few combinations, so a rule about categories is worked out for the combinations and then spread over all
items by one gather.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.string_table import StringTable

SEPARATOR = "|"
_BLOCK_ROWS = 65_536  # bounds the temporary memory of a gather


@dataclass(frozen=True, eq=False)
class CategoryIndex:
    """Categories of a catalogue.

    Attributes:
        names: All categories, sorted; a position in here is a category's code.
        combination: (n_items,) int32 code of each item's combination of categories.
        members: Combination code -> codes of its categories, ascending.
    """

    names: tuple[str, ...]
    combination: NDArray[np.int32]
    members: tuple[tuple[int, ...], ...]

    @classmethod
    def from_table(cls, categories: StringTable) -> Self:
        """Index a catalogue's column of categories, joined by `|`; empty names do not count."""
        texts, row_text = _distinct(categories)
        sets = [frozenset(filter(None, text.split(SEPARATOR))) for text in texts]
        names = tuple(sorted(frozenset().union(*sets)))
        code = {name: position for position, name in enumerate(names)}
        members = sorted({tuple(sorted(code[name] for name in of_text)) for of_text in sets})
        place = {of_combination: position for position, of_combination in enumerate(members)}
        combination_of_text = [place[tuple(sorted(code[name] for name in of_text))] for of_text in sets]
        return cls(names, np.array(combination_of_text, dtype=np.int32)[row_text], tuple(members))

    def codes(self, names: Iterable[str]) -> dict[str, int]:
        """Name -> code of those names that the catalogue has."""
        wanted = set(names)
        return {name: code for code, name in enumerate(self.names) if name in wanted}

    def having(self, codes: Iterable[int]) -> NDArray[np.bool_]:
        """(n_combinations,) whether a combination has at least one of the categories."""
        wanted = set(codes)
        return np.array([not wanted.isdisjoint(of_combination) for of_combination in self.members], dtype=bool)


def _distinct(table: StringTable) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct strings of a table, and (n,) the position of each row's string in them; no loop over the rows."""
    lengths = np.diff(table.offsets)
    texts: list[str] = []
    row_text = np.zeros(len(table), dtype=np.int64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        content = np.empty((len(rows), max(length, 1)), dtype=np.uint8)
        content[:] = 0
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            content[block, :length] = table.data[table.offsets[rows[block], None] + np.arange(length)]
        _, first, inverse = np.unique(
            content.view(f"S{content.shape[1]}").ravel(), return_index=True, return_inverse=True
        )
        row_text[rows] = inverse + len(texts)
        texts += [table[int(row)] for row in rows[first]]
    return texts, row_text
