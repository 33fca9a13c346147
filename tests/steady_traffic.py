"""Users who go on rating and asking while the system changes beneath them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pyarrow as pa

from recommender_assets.local.replay import send_ratings
from recommender_assets.settings import Settings

NO_ANSWER = 0
_SECONDS_AT_ONCE = 2.0


class Traffic:
    """Requests for recommendations, one after the other until it is stopped; each of them is counted.

    Attributes:
        statuses: HTTP status -> number of answers; `NO_ANSWER` for requests without one.
        slowest: seconds that the slowest answer took.
        strangers: set by the test when users whom no model knows should come instead of known ones.
    """

    def __init__(self, address: str, users: list[str], per_second: float) -> None:
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self.strangers = threading.Event()
        self._users, self._pause = users, 1 / per_second
        self._client = httpx.Client(base_url=address, timeout=10)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(20)
        self._client.close()

    def _ask(self) -> None:
        number = 0
        while not self._stopping.wait(self._pause):
            user = f"stranger-{number}" if self.strangers.is_set() else self._users[number % len(self._users)]
            begun = time.monotonic()
            try:
                status = self._client.get(f"/recommendations/user/{user}").status_code
            except httpx.HTTPError:
                status = NO_ANSWER
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.statuses[status] += 1
            number += 1


@contextmanager
def steady_stream(settings: Settings, rows: pa.Table, per_second: float) -> Iterator[None]:
    """Ratings sent at a steady rate; after the last it begins anew with the first, which are duplicates then."""
    stopping = threading.Event()

    def send() -> None:
        at = 0
        while not stopping.is_set():
            chunk = rows.slice(at % rows.num_rows, int(per_second * _SECONDS_AT_ONCE))
            send_ratings(settings, chunk, per_second, None)
            at += chunk.num_rows

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(30)
