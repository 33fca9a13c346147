"""Rows of the profile tables, computed from events that stand."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender_assets.ingestion.profiles.counts_by_time import STEPS, counts_of
from recommender_assets.ingestion.profiles.standing_events import StandingEvents
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_serving.engine.activity import category_affinity, totals
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.history import observe

_TIME = pa.timestamp("us", tz="UTC")


def user_rows(
    standing: StandingEvents, categories: Mapping[str, Sequence[str]], weights: EventWeights, scale: RatingScale
) -> pa.Table:
    """Rows of `user_profiles` for every user with an event that stands.

    Args:
        standing: all events of these users.
        categories: item id -> names of its categories.
        weights: strength of each kind of event.
        scale: lowest and highest rating.
    """
    affinity = _affinity_maps(standing, categories, weights, scale)
    columns = {
        "user_id": standing.user_ids,
        **_activity(standing.user, len(standing.user_ids), standing),
        "category_affinity": affinity,
    }
    return _of_active(pa.table(columns, schema=SCHEMAS["user_profiles"]))


def item_rows(standing: StandingEvents) -> pa.Table:
    """Rows of `item_profiles` for every item with an event that stands.

    Args:
        standing: all events of these items.
    """
    n = len(standing.item_ids)
    pairs = np.unique(standing.user.astype(np.int64) * n + standing.item)
    columns = {
        "item_id": standing.item_ids,
        "users": np.bincount(pairs % max(n, 1), minlength=n),
        **_activity(standing.item, n, standing),
    }
    return _of_active(pa.table(columns, schema=SCHEMAS["item_profiles"]))


def _activity(group: NDArray[np.integer], n: int, standing: StandingEvents) -> dict[str, pa.Array]:
    counted = totals(group, n, standing.timestamp_us, standing.rating)
    has_any = counted.interactions > 0
    return {
        "interactions": pa.array(counted.interactions),
        "ratings": pa.array(counted.ratings),
        "rating_sum": pa.array(counted.rating_sum),
        "first_interaction": pa.array(counted.first_us, mask=~has_any).cast(_TIME),
        "last_interaction": pa.array(counted.last_us, mask=~has_any).cast(_TIME),
        **{column: counts_of(step, group, standing.timestamp_us, counted.last_us) for column, step in STEPS.items()},
    }


def _affinity_maps(
    standing: StandingEvents, categories: Mapping[str, Sequence[str]], weights: EventWeights, scale: RatingScale
) -> pa.MapArray:
    of_items = [categories.get(item, ()) for item in standing.item_ids.to_pylist()]
    names = sorted({name for of_item in of_items for name in of_item})
    code = {name: position for position, name in enumerate(names)}
    indptr = np.concatenate([[0], np.cumsum([len(of_item) for of_item in of_items])]).astype(np.int64)
    category = np.array([code[name] for of_item in of_items for name in of_item], dtype=np.int64)
    user, category, share = category_affinity(observe(standing.history, weights, scale), indptr, category)
    offsets = np.searchsorted(user, np.arange(len(standing.user_ids) + 1)).astype(np.int32)
    keys = pa.array(names, pa.string()).take(pa.array(category))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(share))


def _of_active(rows: pa.Table) -> pa.Table:
    return rows.filter(pa.compute.greater(rows["interactions"], 0))
