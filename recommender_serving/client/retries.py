"""When a call is tried again, and after which pause."""

import random

import httpx
import msgspec

_WORTH_ANOTHER_TRY = frozenset({429, 502, 503, 504})


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently to try.

    Attributes:
        attempts: Tries altogether; 1 = never again.
        first_pause_seconds: Upper end of the first pause; each further one is twice as long.
        longest_pause_seconds: No pause is longer. A service that asks for a longer one gets no further try.
    """

    attempts: int = 4
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {self.attempts}")

    def pause(self, attempt: int, response: httpx.Response | None) -> float | None:
        """Seconds to wait before the next try; None if there is to be none.

        Args:
            attempt: How many tries there were, from 1.
            response: What the last one answered; None if nothing came.
        """
        if attempt >= self.attempts or (response is not None and response.status_code not in _WORTH_ANOTHER_TRY):
            return None
        asked_for = _retry_after(response) if response is not None else 0.0
        if asked_for > self.longest_pause_seconds:
            return None
        # Spread at random, or clients that failed together would come back together.
        longest = min(self.first_pause_seconds * 2 ** (attempt - 1), self.longest_pause_seconds)
        return min(asked_for + random.uniform(0, longest), self.longest_pause_seconds)  # noqa: S311


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the service asks for; the form with a date is not used by it and counts as none."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() else 0.0
