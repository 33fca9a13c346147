"""Divides the rows of a problem among the machine's cores; what comes out does not depend on their number."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import joblib
import numpy as np
from numpy.typing import NDArray

Result = TypeVar("Result")

_ENTRIES_PER_BLOCK = 32_768
_ROWS_PER_BLOCK = 4_096


def n_threads() -> int:
    """Cores that this process may use: of the machine, of its affinity and of its container."""
    return int(joblib.cpu_count())


def map_blocks(indptr: NDArray[np.int64], work: Callable[[int, int], Result]) -> list[Result]:
    """Call `work(first_row, end_row)` for blocks of rows, several at a time, and return the results in order.

    Args:
        indptr: (n_rows + 1,) where the entries of every row start. Blocks are cut by it alone, so results that depend
            on the blocks (sums, for example) are the same at any number of threads.
        work: releases the GIL and touches only its own rows.
    """
    blocks = list(_blocks(indptr))
    threads = min(n_threads(), len(blocks))
    if threads <= 1:
        return [work(start, end) for start, end in blocks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda block: work(*block), blocks))


def _blocks(indptr: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of whole rows with about `_ENTRIES_PER_BLOCK` entries and at most `_ROWS_PER_BLOCK` rows."""
    cost = indptr + np.arange(len(indptr)) * (_ENTRIES_PER_BLOCK // _ROWS_PER_BLOCK)
    marks = np.arange(0, cost[-1], _ENTRIES_PER_BLOCK)
    bounds = np.unique(np.append(np.searchsorted(cost, marks), len(indptr) - 1))
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
