import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion import micro_batch
from recommender_assets.ingestion.event_files import IDENTITY, WrittenFile
from recommender_assets.ingestion.micro_batch import (
    DoubledRecordError,
    PartitionCounts,
    _by_fate,
    _counts,
    require_one_row_each,
    write_micro_batch,
)
from recommender_assets.ingestion.tables import create_tables
from recommender_serving.engine.config import RatingScale


def rows(*partitions: int) -> npt.NDArray[np.void]:
    identities = np.zeros(len(partitions), IDENTITY)
    identities["kafka_partition"] = partitions
    return identities


def test_every_record_of_a_partition_is_counted_once() -> None:
    valid, repeated, rejected = [rows(0, 0, 2), rows(2, 2)], [rows(0), rows(2, 2)], [rows(0, 5)]
    assert _counts(valid, repeated, rejected) == {
        0: PartitionCounts(accepted=1, duplicate=1, rejected=1),
        2: PartitionCounts(accepted=1, duplicate=2, rejected=0),
        5: PartitionCounts(rejected=1),
    }


def test_no_records_count_nothing() -> None:
    assert _counts([], [], []) == {}


ROWS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["accepted", "duplicate", "rejected"])))


@given(ROWS)
def test_counts_are_those_of_a_plain_loop(records: list[tuple[int, str]]) -> None:
    expected: dict[int, list[int]] = {}
    for partition, fate in records:
        expected.setdefault(partition, [0, 0, 0])[["accepted", "duplicate", "rejected"].index(fate)] += 1
    by_fate = {fate: rows(*(p for p, f in records if f == fate)) for fate in ("accepted", "duplicate", "rejected")}
    valid = [by_fate["accepted"], by_fate["duplicate"]]
    counted = _counts(valid, [by_fate["duplicate"]], [by_fate["rejected"]])
    assert counted == {p: PartitionCounts(*counts) for p, counts in expected.items()}


def identities_at(*positions: tuple[int, int]) -> npt.NDArray[np.void]:
    rows = np.zeros(len(positions), IDENTITY)
    for row, (partition, offset) in zip(rows, positions, strict=True):
        row["kafka_partition"], row["kafka_offset"] = partition, offset
    return rows


def test_a_record_with_one_row_each_is_in_order() -> None:
    require_one_row_each([])
    require_one_row_each([identities_at((0, 1), (1, 1)), identities_at((0, 2)), identities_at()])
    require_one_row_each([identities_at((0, 2**44), (1, 0))])  # packed into one number they look alike


@pytest.mark.parametrize("files", [[[(0, 1), (1, 7), (1, 7)]], [[(0, 1), (1, 7)], [(1, 7), (0, 2)]]])
def test_a_record_with_two_rows_in_one_or_two_files_is_refused(files: list[list[tuple[int, int]]]) -> None:
    with pytest.raises(DoubledRecordError, match="partition 1, offset 7 has more than one row"):
        require_one_row_each([identities_at(*file) for file in files])


def test_every_parsed_record_goes_to_one_of_two_tables() -> None:
    def parsed(*reasons: str | None) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict(
            {"kafka_offset": range(len(reasons)), "reason": pa.array(reasons, pa.string())}
        )

    def fates(*reasons: str | None) -> dict[str, list[int]]:
        return {name: rows["kafka_offset"].to_pylist() for name, rows in _by_fate(parsed(*reasons)) if rows.num_rows}

    assert fates(None, "malformed_json", None) == {"interactions": [0, 2], "rejected_events": [1]}
    assert fates(None, None) == {"interactions": [0, 1]}
    assert fates("missing_field") == {"rejected_events": [0]}


def test_a_batch_in_which_a_record_became_two_rows_is_not_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_tables(tmp_path)
    files = [
        WrittenFile("interactions", "a", 1, "{}", identities_at((0, 0), (0, 1))),
        WrittenFile("rejected_events", "b", 1, "{}", identities_at((0, 1))),
    ]
    monkeypatch.setattr(micro_batch, "kafka_records", lambda records: records)
    monkeypatch.setattr(micro_batch, "_written", lambda *_: files)
    monkeypatch.setattr(micro_batch, "duplicates", lambda *_: [np.zeros(2, np.bool_)])
    records: Any = None
    with pytest.raises(DoubledRecordError, match="partition 0, offset 1"):
        write_micro_batch(records, tmp_path, "id", RatingScale(), dt.datetime.now(dt.UTC))
