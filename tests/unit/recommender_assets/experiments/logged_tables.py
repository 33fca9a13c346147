"""Tables of served lists and reactions with known rates, as ingestion leaves them."""

import datetime as dt
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from recommender_assets.experiments.attribution import DAY_US
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, table_path

TOPIC, TOPIC_ID = "user_interactions", "topic-1"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NUMBERS = count()


def write_traffic(
    root: Path,
    rates: Mapping[str | None, float],
    start_us: int,
    *,
    users: int = 400,
    days: int = 1,
    experiment: str | None = "one",
    first_user: int | None = None,
    **fields: Any,
) -> None:
    """Users that are each served one list of two items on one of the days and click the first at their arm's rate.

    Args:
        root: the storage root.
        rates: arm (None outside experiments) -> rate of clicks.
        start_us: when the first day begins.
        users: of each arm.
        days: over which they come.
        experiment: that the lists belong to.
        first_user: number of the first user, others follow, so that the same users can come again; None = new users.
        fields: further columns of the lists.
    """
    create_tables(root)
    generator = np.random.default_rng(0)
    lists, events = [], []
    for arm, rate in rates.items():
        for user in range(users):
            number = next(_NUMBERS)
            user_id = f"u{number}" if first_user is None else f"again{first_user + len(lists)}"
            at = start_us + user % days * DAY_US + user
            served = {
                "ranking_id": f"r{number}",
                "user_id": user_id,
                "served_at": _moment(at),
                "items": ["a", "b"],
            }
            place = {
                "experiment": experiment,
                "variant": arm,
                "forced": False,
                "logged_share": 1.0,
                "source": "popular",
            }
            lists.append(served | place | fields)
            if generator.random() < rate:
                events.append(_click(number, user_id, at + 500))
    _append(root, "recommendation_log", lists)
    _append(root, "interactions", events)
    append_rows(root, TOPIC, TOPIC_ID, [LedgerRow(0, 0, 10**9, accepted=len(events))])


def _click(number: int, user_id: str, at_us: int) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "item_id": "a",
        "event_type": "click",
        "timestamp": _moment(at_us),
        "event_id": f"e{number}",
        "event_key": number,
        "ranking_id": f"r{number}",
        "event_day": _moment(at_us).date(),
        "topic_id": TOPIC_ID,
        "kafka_partition": 0,
        "kafka_offset": number,
        "ingested_at": _moment(at_us),
    }


def _append(root: Path, name: TableName, rows: list[dict[str, Any]]) -> None:
    write_deltalake(table_path(root, name), pa.Table.from_pylist(rows, schema=SCHEMAS[name]), mode="append")


def _moment(microseconds: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=microseconds)
