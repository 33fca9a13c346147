"""How many events come in a day, against the days before."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

DAY_SECONDS = 86_400.0
LEAST_DAYS = 3
MOST_DAYS = 14


class Volume(NamedTuple):
    """Events accepted in the latest 24 hours, and the median of the days before; None if these are too few."""

    latest: int
    usual: float | None


def event_volume(ledger: pa.Table, now: float) -> Volume:
    """The volume now, from the times and counts of the ingestion ledger.

    Args:
        ledger: `committed_at`, `accepted`.
        now: seconds since the epoch; days are counted back from here.
    """
    committed = np.asarray(ledger["committed_at"].cast(pa.int64()).to_pylist(), dtype=np.float64) / 1e6
    accepted = np.asarray(ledger["accepted"].to_pylist(), dtype=np.int64)
    age = np.floor((now - committed) / DAY_SECONDS).astype(np.int64)
    whole_days = _whole_days(committed, now)
    per_day = np.bincount(np.clip(age, 0, MOST_DAYS + 1), weights=accepted, minlength=MOST_DAYS + 2)
    former = per_day[1 : 1 + min(whole_days, MOST_DAYS)]
    return Volume(int(per_day[0]), float(np.median(former)) if len(former) >= LEAST_DAYS else None)


def _whole_days(committed: NDArray[np.float64], now: float) -> int:
    """Days before the latest 24 hours that lie wholly after the first commit."""
    return max(0, int((now - committed.min()) // DAY_SECONDS) - 1) if len(committed) else 0
