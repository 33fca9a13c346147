import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion.micro_batch import PartitionCounts, _counts

POSITION = {"kafka_partition": pa.int32(), "kafka_offset": pa.int64()}
KEYS = pa.schema({"kafka_partition": pa.int32(), "reason": pa.string()})


def keys(*rows: tuple[int, str | None]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(KEYS.names, row, strict=True)) for row in rows], schema=KEYS)


def positions(*rows: tuple[int, int]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(POSITION, row, strict=True)) for row in rows], schema=pa.schema(POSITION))


def test_every_record_of_a_partition_is_counted_once() -> None:
    rows = [(0, None), (0, "malformed_json"), (0, None), (2, None), (2, None), (2, "wrong_type")]
    assert _counts(keys(*rows), positions((0, 7), (2, 1), (2, 4))) == {
        0: PartitionCounts(accepted=1, duplicate=1, rejected=1),
        2: PartitionCounts(accepted=0, duplicate=2, rejected=1),
    }


def test_no_records_count_nothing() -> None:
    assert _counts(keys(), positions()) == {}


ROWS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["accepted", "duplicate", "wrong_type", "missing_field"])))


@given(ROWS)
def test_counts_are_those_of_a_plain_loop(rows: list[tuple[int, str]]) -> None:
    expected: dict[int, list[int]] = {}
    for partition, fate in rows:
        kind = {"accepted": 0, "duplicate": 1}.get(fate, 2)
        expected.setdefault(partition, [0, 0, 0])[kind] += 1
    parsed = keys(*((p, None if fate in ("accepted", "duplicate") else fate) for p, fate in rows))
    duplicates = positions(*((p, offset) for offset, (p, fate) in enumerate(rows) if fate == "duplicate"))
    assert _counts(parsed, duplicates) == {p: PartitionCounts(*counts) for p, counts in expected.items()}
