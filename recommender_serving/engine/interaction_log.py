"""The latest live interactions in the order of their arrival, compact, so that those of a window can be counted."""

from array import array
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.activity import Window

_HALF = 262_144  # interactions; at 24 bytes each the log takes 12 MiB


class _Half:
    """Columns of consecutive interactions."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}  # item id -> its number in here
        self.item = array("i")
        self.partition = array("i")
        self.offset = array("q")
        self.timestamp_us = array("q")

    def add(self, item_id: str, partition: int, offset: int, timestamp_us: int) -> None:
        self.item.append(self.codes.setdefault(item_id, len(self.codes)))
        self.partition.append(partition)
        self.offset.append(offset)
        self.timestamp_us.append(timestamp_us)

    def lies_after(self, start: Mapping[int, int]) -> NDArray[np.bool_]:
        """(n,) whether a record lies at or after `start`: partition -> first offset."""
        partition = np.array(self.partition)
        first = np.zeros(int(partition.max(initial=-1)) + 1, dtype=np.int64)
        for number, offset in start.items():
            if number < len(first):
                first[number] = offset
        return np.asarray(np.array(self.offset) >= first[partition])

    def discard_before(self, start: Mapping[int, int]) -> None:
        kept = self.lies_after(start)
        for name in ("item", "partition", "offset", "timestamp_us"):
            column = getattr(self, name)
            setattr(self, name, array(column.typecode, np.array(column)[kept].tobytes()))

    def counts(self, window: Window, as_of_us: int, start: Mapping[int, int]) -> Counter[str]:
        inside = window.covers(np.array(self.timestamp_us), as_of_us) & self.lies_after(start)
        of_code = np.bincount(np.array(self.item)[inside], minlength=len(self.codes)).tolist()
        return Counter({item_id: of_code[code] for item_id, code in self.codes.items() if of_code[code]})


class InteractionLog:
    """The latest interactions, at least 262,144 of them; the oldest go, that many at once."""

    def __init__(self) -> None:
        self._older, self._newer = _Half(), _Half()

    def __len__(self) -> int:
        return len(self._older.item) + len(self._newer.item)

    def add(self, item_id: str, partition: int, offset: int, timestamp_us: int) -> None:
        """Note one interaction and the Kafka record that held it."""
        if len(self._newer.item) == _HALF:
            self._older, self._newer = self._newer, _Half()
        self._newer.add(item_id, partition, offset, timestamp_us)

    def discard_before(self, start: Mapping[int, int]) -> None:
        """Let go of records before `start`: partition -> first offset that is kept."""
        self._older.discard_before(start)
        self._newer.discard_before(start)

    def counts(self, window: Window, as_of_us: int, start: Mapping[int, int]) -> Counter[str]:
        """Interactions per item id inside a window, of records at or after `start`.

        Args:
            window: Which event times count.
            as_of_us: End of the window, UTC microseconds.
            start: Partition -> first offset; a partition that is not named counts whole.
        """
        return self._older.counts(window, as_of_us, start) + self._newer.counts(window, as_of_us, start)
