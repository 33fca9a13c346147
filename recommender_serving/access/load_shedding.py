"""Refuses what would make everybody wait.

A replica is one event loop. What has arrived while the loop was busy is handled in its next turn, one request after
the other, so the last one waits for the work of all others. A turn therefore works for a limited time; what it has
not come to by then is refused at once, which costs a fraction of an answer, and the admitted requests keep their
latency. Calls that wait for something else (Kafka, a thread) are limited by number.
"""

import asyncio
import time
from collections.abc import Callable

from recommender_serving.errors import OverloadedError

_RETRY_AFTER_SECONDS = 1


class LoadShedding:
    """Knows how long the current turn of the event loop has worked, and how many calls are under way.

    Args:
        turn_seconds: How long one turn may work before further requests are refused.
        concurrent: Calls under way beyond which further ones are refused.
        clock: Seconds, never going back.
    """

    def __init__(self, turn_seconds: float, concurrent: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._turn_seconds = turn_seconds
        self._concurrent = concurrent
        self._clock = clock
        self._turn_started: float | None = None
        self.under_way = 0

    def require_capacity(self) -> None:
        """Admit one more call.

        Raises:
            OverloadedError: the turn has worked long enough, or too many calls are under way.
        """
        if self._turn_started is None:
            self._turn_started = self._clock()
            asyncio.get_running_loop().call_soon(self._end_turn)  # runs before anything of the next turn
        elif self._clock() - self._turn_started > self._turn_seconds:
            raise OverloadedError(
                f"Requests arrive faster than they can be answered within {self._turn_seconds * 1_000:g} ms.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        if self.under_way >= self._concurrent:
            raise OverloadedError(
                f"{self._concurrent} calls are under way, which is the limit.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )

    def __enter__(self) -> None:
        self.under_way += 1

    def __exit__(self, *_: object) -> None:
        self.under_way -= 1

    def _end_turn(self) -> None:
        self._turn_started = None
