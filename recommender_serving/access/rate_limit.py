"""How many requests one caller may send: a token bucket each."""

import time
from collections.abc import Callable

from recommender_serving.errors import RateLimitedError

_MOST_CALLERS = 10_000


class RateLimit:
    """Token buckets: each caller may send `burst` requests at once and `per_second` in the long run.

    Args:
        per_second: Tokens that a bucket gains in a second, greater than 0.
        burst: Tokens that a bucket holds, at least 1.
        clock: Seconds, never going back.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # caller -> (tokens, when)

    def take(self, caller: str) -> None:
        """Take a token from the caller's bucket.

        Raises:
            RateLimitedError: the bucket is empty; says when it holds a token again.
        """
        now = self._clock()
        tokens, when = self._buckets.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - when) * self._per_second)
        admitted = tokens >= 1
        self._buckets[caller] = (tokens - admitted, now)
        if len(self._buckets) > _MOST_CALLERS:
            del self._buckets[next(iter(self._buckets))]  # the caller that was away for longest
        if not admitted:
            raise RateLimitedError(
                f"More than {self._per_second:g} requests per second beyond a burst of {self._burst:g}.",
                retry_after_seconds=(1 - tokens) / self._per_second,
            )
