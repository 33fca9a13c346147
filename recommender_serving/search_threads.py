"""Searches of large catalogues, beside the event loop: threads that take whatever is queued and search it as one batch.

A batch of 16 takes hardly longer than a single search, for both read every item once. The work is matrix products,
which hold the GIL for a fraction of the time only, so the event loop goes on meanwhile.
"""

import asyncio
import math
import threading
import time
from collections import deque
from typing import NamedTuple

from recommender_serving.engine.top_items import ItemIndex, Query, TopItems

_THREADS = 2
_LARGEST_BATCH = 32
_GATHER_SECONDS = 0.002  # answers to one batch bring the next requests within this time, not all at once


class _Waiting(NamedTuple):
    catalogue: ItemIndex
    query: Query
    answer: "asyncio.Future[TopItems]"


class SearchThreads:
    """Answers queries in threads that start with the first query and end with the process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._started = False
        self._idle = 0

    async def search(self, index: ItemIndex, query: Query) -> TopItems:
        """The answer to one query; call on an event loop."""
        if not self._started:
            self._started = True
            for number in range(_THREADS):
                threading.Thread(target=self._run, name=f"search-{number}", daemon=True).start()
        answer: asyncio.Future[TopItems] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._waiting.append(_Waiting(index, query, answer))
            self._changed.notify()
        return await answer

    def _run(self) -> None:
        while True:
            batch = self._take()
            index = batch[0].catalogue
            try:
                results: list[TopItems] | BaseException = index.search([waiting.query for waiting in batch])
            except Exception as error:  # noqa: BLE001 (goes to those who wait)
                results = error
            loop = batch[0].answer.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, batch, results)

    def _take(self) -> list[_Waiting]:
        """The next batch: an even share of what is queued for one index, the other idle threads get the rest."""
        with self._changed:
            self._idle += 1
            while not self._waiting:
                self._changed.wait()
        time.sleep(_GATHER_SECONDS)
        with self._changed:
            while not self._waiting:  # another thread was quicker
                self._changed.wait()
            share = min(math.ceil(len(self._waiting) / self._idle), _LARGEST_BATCH)
            self._idle -= 1
            first = self._waiting.popleft()
            batch = [first]
            while len(batch) < share and self._waiting and _fits(first, self._waiting[0]):
                batch.append(self._waiting.popleft())
            return batch


def _fits(one: _Waiting, other: _Waiting) -> bool:
    return one.catalogue is other.catalogue and one.answer.get_loop() is other.answer.get_loop()


def _settle(batch: list[_Waiting], results: list[TopItems] | BaseException) -> None:
    for place, waiting in enumerate(batch):
        if waiting.answer.done():  # who asked has gone
            continue
        if isinstance(results, BaseException):
            waiting.answer.set_exception(results)
        else:
            waiting.answer.set_result(results[place])
