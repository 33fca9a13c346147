"""Strings as one array of UTF-8 bytes with offsets: memory-mappable, and searched without a Python dictionary."""

from codecs import getincrementaldecoder
from collections.abc import Iterable
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

_PAIRS_PER_BLOCK = 16_384  # bounds the temporary memory and the length of a step of `is_sorted`
_WORD = 8
_DECODED_BYTES = 262_144  # small steps: decoding holds the GIL, and a service has an event loop beside it


class StringTable:
    """An immutable sequence of strings.

    Attributes:
        data: (n_bytes,) uint8, all strings in UTF-8, one after the other.
        offsets: (n + 1,) int64, where each string starts in `data`, and the end of the last one.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        self.data = data
        self.offsets = offsets

    @classmethod
    def from_strings(cls, strings: Iterable[str]) -> Self:
        """Encode the strings in the order given."""
        encoded = [string.encode("utf-8") for string in strings]
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)), out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> list[str]: ...
    def __getitem__(self, position: int | slice) -> str | list[str]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} is outside a table of {len(self)} strings")
        position += len(self) if position < 0 else 0
        return self.data[self.offsets[position] : self.offsets[position + 1]].tobytes().decode("utf-8")

    def index(self, string: str) -> int:
        """Position of a string by binary search, -1 if absent. Only for a table that `is_sorted`."""
        wanted = string.encode("utf-8", "surrogatepass")
        # Slicing a memory view is several times faster than slicing an array.
        data, offsets = self.data.data, self.offsets.data
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if data[offsets[middle] : offsets[middle + 1]].tobytes() < wanted:
                low = middle + 1
            else:
                high = middle
        if low < len(self) and data[offsets[low] : offsets[low + 1]].tobytes() == wanted:
            return low
        return -1

    def is_sorted(self) -> bool:
        """Whether the strings ascend strictly by their UTF-8 bytes (so they are also unique)."""
        return all(
            self._ascends(np.arange(start, min(start + _PAIRS_PER_BLOCK, len(self) - 1)))
            for start in range(0, len(self) - 1, _PAIRS_PER_BLOCK)
        )

    def problem(self) -> str | None:
        """What is wrong with `data` or `offsets`, or None: offsets ascend over all bytes, each string is UTF-8."""
        ends = self.offsets
        if not len(ends) or ends[0] != 0 or ends[-1] != len(self.data) or np.any(ends[1:] < ends[:-1]):
            return f"offsets do not ascend from 0 to the {len(self.data)} bytes of data"
        try:
            decoder = getincrementaldecoder("utf-8")()
            for start in range(0, len(self.data), _DECODED_BYTES):
                decoder.decode(self.data[start : start + _DECODED_BYTES].tobytes())
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            return f"data is not UTF-8: {error}"
        starts = ends[:-1][ends[:-1] < len(self.data)]
        if np.any(self.data[starts] & 0xC0 == 0x80):
            return "an offset points into the middle of a character"
        return None

    def _ascends(self, pairs: NDArray[np.int64]) -> bool:
        """Compare neighbours eight bytes at a time; a string that begins the next one comes first."""
        depth = 0
        while len(pairs):
            left, right = self._words(pairs, depth), self._words(pairs + 1, depth)
            if np.any(left > right):
                return False
            pairs = pairs[left == right]
            depth += _WORD
            shorter = self.offsets[pairs + 1] - self.offsets[pairs]
            longer = self.offsets[pairs + 2] - self.offsets[pairs + 1]
            ended = np.maximum(shorter, longer) <= depth
            if np.any(ended & (shorter >= longer)):
                return False
            pairs = pairs[~ended]
        return True

    def _words(self, rows: NDArray[np.int64], depth: int) -> NDArray[np.uint64]:
        """Bytes `depth`..`depth + 8` of each row as a big-endian number, zero beyond the row's end."""
        places = self.offsets[rows, None] + np.arange(depth, depth + _WORD)
        inside = places < self.offsets[rows + 1, None]
        taken = np.zeros(places.shape, dtype=np.uint8)
        taken[inside] = self.data[places[inside]]
        return taken.view(">u8").ravel().astype(np.uint64)
