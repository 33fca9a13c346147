"""Refuses what would make everybody wait.

A replica is one event loop. What has arrived while the loop was busy is handled in its next turn, one request after
the other, so the last one waits for the work of all others. A turn therefore works for a limited time; what it has
not come to by then is refused at once, which costs a fraction of an answer, and the admitted requests keep their
latency. Counted is the time that the loop's thread has computed: a pause in which something else had the core delays
everybody, but refusing requests would not make it shorter. Calls that wait for something else (Kafka, a thread) are
limited by number.
"""

import asyncio
import time
from collections.abc import Callable

from recommender_serving.errors import OverloadedError

_RETRY_AFTER_SECONDS = 1
_REQUESTS_PER_LOOK = 8  # at the clock, which costs a microsecond


class LoadShedding:
    """Knows how long the current turn of the event loop has worked, and how many calls are under way.

    Args:
        turn_seconds: How long one turn may work before further requests are refused.
        concurrent: Calls under way beyond which further ones are refused.
        clock: Seconds that this thread has computed.
    """

    def __init__(self, turn_seconds: float, concurrent: int, clock: Callable[[], float] = time.thread_time) -> None:
        self._turn_seconds = turn_seconds
        self._concurrent = concurrent
        self._clock = clock
        self._asked = 0  # requests of this turn
        self._first_look = 0.0
        self._is_full = False
        self.under_way = 0

    def require_capacity(self) -> None:
        """Admit one more call.

        Raises:
            OverloadedError: the turn has worked long enough, or too many calls are under way.
        """
        self._asked += 1
        if self._asked == 1:
            asyncio.get_running_loop().call_soon(self._end_turn)  # runs before anything of the next turn
        elif self._asked % _REQUESTS_PER_LOOK == 0:
            self._look()
        if self._is_full:
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

    def _look(self) -> None:
        now = self._clock()
        if self._asked == _REQUESTS_PER_LOOK:
            self._first_look = now
        self._is_full = now - self._first_look > self._turn_seconds

    def _end_turn(self) -> None:
        self._asked = 0
        self._is_full = False
