"""Applies `forget` events by position: they remove what lies before them, whatever the time stamps say.

Readers apply them as soon as they are in the tables; `erasure` takes the rows out of the files.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def without_forgotten(history: pa.Table, interactions: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Drop every row that a user asked to forget, and the `forget` rows themselves.

    A `forget` removes of its user: the whole imported history, everything of topics that were seen before its own, and
    the rows at lower offsets of its own partition.

    Args:
        history: imported past with a column `user_id`.
        interactions: with `user_id`, `event_type`, `topic_id`, `kafka_partition`, `kafka_offset`, `ingested_at`.

    Returns:
        Both tables with the rows that stand.
    """
    is_forget = _is_forget(interactions)
    if not is_forget.any():
        return history, interactions
    asked = pc.unique(interactions["user_id"].filter(pa.array(is_forget)))
    stands = ~(is_forget | is_forgotten(interactions))
    return (
        history.filter(pc.invert(pc.is_in(history["user_id"], value_set=asked))),
        interactions.filter(pa.array(stands)),
    )


def is_forgotten(interactions: pa.Table) -> NDArray[np.bool_]:
    """Which rows (columns as for `without_forgotten`) lie before a `forget` of their user; earlier `forget` rows, too.

    Args:
        interactions: all rows of the users in it.
    """
    is_forget = _is_forget(interactions)
    if not is_forget.any():
        return is_forget
    user, users = _codes(interactions["user_id"])
    topic = _topic_order(interactions)
    partition = interactions["kafka_partition"].to_numpy().astype(np.int64)
    offset = interactions["kafka_offset"].to_numpy()

    forgotten_topic = np.full(len(users), -1)
    np.maximum.at(forgotten_topic, user[is_forget], topic[is_forget])
    place = (user * (topic.max() + 1) + topic) * (partition.max() + 1) + partition
    places, of_forget = np.unique(place[is_forget], return_inverse=True)
    first_kept = np.zeros(len(places), dtype=np.int64)
    np.maximum.at(first_kept, of_forget, offset[is_forget])

    found = np.minimum(np.searchsorted(places, place), len(places) - 1)
    before_forget = (places[found] == place) & (offset < first_kept[found])
    result: NDArray[np.bool_] = before_forget | (topic < forgotten_topic[user])
    return result


def _is_forget(interactions: pa.Table) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = pc.equal(interactions["event_type"], "forget").to_numpy()
    return result


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def _topic_order(interactions: pa.Table) -> NDArray[np.int64]:
    """Rank of each row's topic by the time at which its first record was ingested."""
    code, topics = _codes(interactions["topic_id"])
    ingested = interactions["ingested_at"].cast(pa.int64()).to_numpy()
    first = np.full(len(topics), np.iinfo(np.int64).max)
    np.minimum.at(first, code, ingested)
    rank = np.empty(len(topics), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(topics))
    return rank[code]
