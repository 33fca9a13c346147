"""Answers `GET /items/popular`."""

import asyncio
import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from recommender_serving.answers import PopularItem, PopularItems, WindowOrAll
from recommender_serving.engine.activity import WINDOWS, Window
from recommender_serving.engine.ranking import popular_items
from recommender_serving.snapshot import Snapshot
from recommender_serving.timestamps import rfc3339

_KEPT_SECONDS = 1.0
_ITEMS_PER_TURN = 256  # of the event loop
_NOTHING = np.empty(0, dtype=np.int32)
_WINDOWS = {window.name: window for window in WINDOWS}


class _Kept(NamedTuple):
    """A list of the greatest length, and until when it is good."""

    answer: PopularItems
    until: float


class PopularItemLists:
    """Lists of popular items; each is counted anew at most once a second.

    Args:
        longest: Length of the longest list.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def answer(self, snapshot: Snapshot, window: WindowOrAll, n: int) -> PopularItems:
        """The `n` items with most users of all time, or with most interactions inside a window that ends now."""
        key = (snapshot.model.version, window)
        kept = self._kept.get(key)
        if kept is None or time.monotonic() > kept.until:
            make = _of_all_time if window == "all" else _of_window
            answer = await make(snapshot, window, self._longest)
            self._kept = {known: list_ for known, list_ in self._kept.items() if known[0] == snapshot.model.version}
            kept = self._kept[key] = _Kept(answer, time.monotonic() + _KEPT_SECONDS)
        return msgspec.structs.replace(kept.answer, items=kept.answer.items[:n])


async def _of_all_time(snapshot: Snapshot, window: WindowOrAll, n: int) -> PopularItems:
    model = snapshot.model
    items = popular_items(model.popularity, n, _NOTHING).tolist()
    return PopularItems(
        items=[_entry(snapshot, model.item_ids[item], int(model.popularity[item])) for item in items],
        window=window,
        counted="users",
        as_of=model.manifest.created_at,
        model=snapshot.reference,
    )


async def _of_window(snapshot: Snapshot, window: WindowOrAll, n: int) -> PopularItems:
    now_us = time.time_ns() // 1_000
    counts = await _interactions(snapshot, _WINDOWS[window], now_us, n)
    best = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:n]
    return PopularItems(
        items=[_entry(snapshot, item_id, count) for item_id, count in best],
        window=window,
        counted="interactions",
        as_of=rfc3339(now_us),
        model=snapshot.reference,
    )


async def _interactions(snapshot: Snapshot, window: Window, now_us: int, n: int) -> Mapping[str, int]:
    """Interactions of the `n` items that had most before the live events, and of all that have live ones."""
    model = snapshot.model
    of_past = snapshot.loaded.recent.counts(window, now_us, model.n_items)
    counts = snapshot.live.interactions.counts(window, now_us, snapshot.start)
    for step, item_id in enumerate(counts):
        item = model.item_ids.index(item_id)
        counts[item_id] += int(of_past[item]) if item >= 0 else 0
        if step % _ITEMS_PER_TURN == _ITEMS_PER_TURN - 1:
            await asyncio.sleep(0)
    for item in popular_items(of_past.astype(np.float64), n, _NOTHING).tolist():
        if of_past[item]:
            counts[model.item_ids[item]] = counts.get(model.item_ids[item], int(of_past[item]))
    return counts


def _entry(snapshot: Snapshot, item_id: str, count: int) -> PopularItem:
    item = snapshot.model.item_ids.index(item_id)
    title = snapshot.model.catalogue.titles[item] if item >= 0 else ""
    return PopularItem(item_id=item_id, title=title, count=count)
