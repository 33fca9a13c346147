"""Facts about `recommendation_log`."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from recommender_assets.fact import Outcome, check, nothing_found
from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.served_lists import RANGES
from recommender_assets.ingestion.tables import read_table, table_path
from recommender_assets.settings import Settings

_LATEST_COMMITS = 1_000
_COMMITS_WITH_ROWS_READ = 20
_PLACE = ["topic_id", "kafka_partition", "kafka_offset"]


@check("recommendation_log", blocking=True)
def log_offsets_are_contiguous(settings: Settings) -> Outcome:
    """Of the latest thousand commits each begins, per partition, where the one before ended; no offset has two rows.

    A commit has the rows that it counts. Rows of the latest 20 commits are read.
    """
    commits = list(_commits(settings.root))
    findings = [*_gaps(commits), *_miscounts(commits), *_doubles(settings.root, commits[-_COMMITS_WITH_ROWS_READ:])]
    lost = sum(lost for commit in commits for _, _, lost in commit["partitions"].values())
    outcome = nothing_found(findings)
    return Outcome(outcome.passed, outcome.reason, {**outcome.numbers, "expired_before_read": lost})


LOG_CHECKS = (log_offsets_are_contiguous,)


def _commits(root: Path) -> Iterator[dict[str, Any]]:
    """What the commits of the log say they cover, oldest first, with the number of rows that Delta counted."""
    for commit in reversed(DeltaTable(table_path(root, "recommendation_log")).history(_LATEST_COMMITS)):
        if RANGES in commit:
            yield json.loads(commit[RANGES]) | {"added": commit["operationMetrics"]["num_added_rows"]}


def _gaps(commits: list[dict[str, Any]]) -> Iterator[str]:
    ends: dict[tuple[str, str], int] = {}
    for commit in commits:
        for partition, (start, end, _) in commit["partitions"].items():
            place = (commit["topic_id"], partition)
            expected = ends.get(place, start)
            if start != expected:
                yield f"topic {place[0]}, partition {partition}: expected offset {expected} next, found {start}"
            ends[place] = end


def _miscounts(commits: list[dict[str, Any]]) -> Iterator[str]:
    for commit in commits:
        if commit["rows"] != commit["added"]:
            yield f"a commit of {commit['partitions']} counts {commit['rows']} rows and has {commit['added']}"


def _doubles(root: Path, commits: list[dict[str, Any]]) -> Iterator[str]:
    """Offsets that stand in both tables or twice in one, among those that the commits cover."""
    starts: dict[tuple[str, int], int] = {}
    for commit in commits:
        for partition, (start, _, _) in commit["partitions"].items():
            starts.setdefault((commit["topic_id"], int(partition)), start)
    if not starts:
        return
    topic_id, partition, offset = map(pc.field, _PLACE)
    latest = [(topic_id == place[0]) & (partition == place[1]) & (offset >= start) for place, start in starts.items()]
    names: tuple[TableName, ...] = ("recommendation_log", "rejected_lists")
    rows = pa.concat_tables([read_table(root, name, _PLACE, reduce(or_, latest)) for name in names])
    places = zip(*(rows[name].to_pylist() for name in _PLACE), strict=True)
    for place, count in Counter(places).items():
        if count > 1:
            yield f"topic {place[0]}, partition {place[1]}: offset {place[2]} has {count} rows"
