"""How long to wait before work that made no progress is asked for again."""

from typing import Self

import msgspec

FIRST_DELAY_SECONDS = 30.0
LONGEST_DELAY_SECONDS = 1800.0


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """Requests made since progress was last seen.

    Attributes:
        mark: what progress is read from; a different mark means that the work got on.
        count: requests made at this mark.
        requested_at: when the latest was made, seconds since the epoch.
    """

    mark: str = ""
    count: int = 0
    requested_at: float = 0.0

    def wait(self, mark: str, now: float) -> float:
        """Seconds until the next request is allowed: 0 at a new mark, else 30, 60, 120, ... after each request."""
        if mark != self.mark or self.count == 0:
            return 0.0
        delay = min(FIRST_DELAY_SECONDS * 2.0 ** min(self.count - 1, 32), LONGEST_DELAY_SECONDS)
        return max(0.0, self.requested_at + delay - now)

    def requested(self, mark: str, now: float) -> Self:
        """The state after a request made now."""
        count = self.count + 1 if mark == self.mark else 1
        return type(self)(mark=mark, count=count, requested_at=now)
