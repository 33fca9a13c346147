"""Served lists and what users did from the tables, in the columns that attribution asks for.

Times are microseconds since 1970; `since_us` is included, `until_us` is not.
"""

import datetime as dt
from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recommender_assets.ingestion.forgetting import without_forgotten
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import read_table
from recommender_serving.engine.recommendation_log import LogSample

_TEXTS = ["ranking_id", "user_id", "variant", "source"]
_LIST = [*_TEXTS, "served_at", "items", "teams"]
_EVENT = ["user_id", "item_id", "event_type", "rating", "timestamp", "ranking_id"]
_RECORD = ["topic_id", "kafka_partition", "kafka_offset", "ingested_at"]
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def lists_of(root: Path, experiment: str, since_us: int, until_us: int) -> pd.DataFrame:
    """The lists that an experiment counts: served in that time, and not forced.

    Returns:
        `ranking_id`, `user_id`, `arm`, `source`, `served_at`, `items` (tuples) and, of interleaved lists,
        `teams` (tuples of arms).
    """
    is_counted = (pc.field("experiment") == experiment) & ~pc.field("forced")
    rows = read_table(root, "recommendation_log", _LIST, is_counted & _between("served_at", since_us, until_us))
    return _list_frame(rows)


def lists_outside_experiments(root: Path, since_us: int) -> tuple[pd.DataFrame, float]:
    """The lists that were logged outside experiments since a time, and the share of the users that they are of.

    If the share changed meanwhile, these are the users of the smallest one: they were logged all the time.

    Returns:
        The columns of `lists_of`, `arm` being None; and the share, 1 if there is no list.
    """
    condition = pc.field("experiment").is_null() & (pc.field("served_at") >= _moment(since_us))
    rows = read_table(root, "recommendation_log", [*_LIST, "logged_share"], condition)
    share: float = pc.min(rows["logged_share"]).as_py() or 1.0
    lists = _list_frame(rows.select(_LIST))
    users = pd.Series(lists["user_id"].unique(), dtype=object)
    sample = LogSample(share)
    held = users[[sample.holds(user) for user in users]]
    return lists[lists["user_id"].isin(held)].reset_index(drop=True), share


def lists_of_versions(root: Path, versions: Collection[str], since_us: int, until_us: int) -> pd.DataFrame:
    """The lists by these model versions that were logged outside experiments in that time.

    Returns:
        The columns of `lists_of`, `arm` being the version.
    """
    is_wanted = pc.field("experiment").is_null() & pc.field("version").isin(pa.array(versions, pa.string()))
    rows = read_table(
        root, "recommendation_log", [*_LIST, "version"], is_wanted & _between("served_at", since_us, until_us)
    )
    return _list_frame(rows.select(_LIST)).assign(arm=rows["version"].to_pylist())


def reactions_of(root: Path, users: Iterable[str], since_us: int, until_us: int) -> pd.DataFrame:
    """What users did in that time, as far as the ledger accounts for it, without what they asked to forget.

    Returns:
        `user_id`, `item_id`, `kind` (the event type), `at`, `ranking_id` (or None) and `rating` (or NaN).
    """
    is_of_them = pc.field("user_id").isin(pa.array(set(users), pa.string()))
    in_time = _between("timestamp", since_us, until_us) | (pc.field("event_type") == "forget")
    rows = read_table(root, "interactions", [*_EVENT, *_RECORD], is_of_them & in_time)
    history = SCHEMAS["interaction_history"].empty_table()
    _, rows = without_forgotten(history, rows.filter(pa.array(_accounted_for(root, rows), pa.bool_())))
    frame = rows.select(_EVENT).to_pandas()
    frame["timestamp"] = rows["timestamp"].cast(pa.int64()).to_numpy()
    return frame.rename(columns={"event_type": "kind", "timestamp": "at"}).astype({"rating": float})


def _list_frame(rows: pa.Table) -> pd.DataFrame:
    frame = pd.DataFrame({name: rows[name].to_pandas() for name in _TEXTS}, dtype=object)
    frame["served_at"] = rows["served_at"].cast(pa.int64()).to_numpy()
    for name in ("items", "teams"):
        values = [None if value is None else tuple(value) for value in rows[name].to_pylist()]
        frame[name] = pd.Series(values, dtype=object)
    return frame.rename(columns={"variant": "arm"})


def _accounted_for(root: Path, rows: pa.Table) -> list[bool]:
    """Rows below the ledger's position; others are of an ingestion that has not finished."""
    ledger = read_table(root, "ingestion_ledger", ["topic_id", "kafka_partition", "to_offset"])
    ends = ledger.group_by(["topic_id", "kafka_partition"]).aggregate([("to_offset", "max")]).to_pylist()
    end_of = {(end["topic_id"], end["kafka_partition"]): end["to_offset_max"] for end in ends}
    places = zip(*(rows[name].to_pylist() for name in _RECORD[:3]), strict=True)
    return [offset < end_of.get((topic, partition), 0) for topic, partition, offset in places]


def _between(column: str, since_us: int, until_us: int) -> pc.Expression:
    return (pc.field(column) >= _moment(since_us)) & (pc.field(column) < _moment(until_us))


def _moment(microseconds: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=microseconds)
