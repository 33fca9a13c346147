"""What users asked to forget leaves the files; what readers see, and what the checks prove, stays the same."""

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recommender_assets.features.event_rows import current_position, read_event_rows
from recommender_assets.ingestion import erasure, removed_rows
from recommender_assets.ingestion.accounting import accounting_differences
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.erasure import Erasure, erase_forgotten, forgotten_users
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, read_table, table_path
from recommender_assets.settings import Settings
from recommender_serving.engine.forgotten_users import ForgottenUser, read_forgotten_users

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
PERSONAL: tuple[TableName, ...] = ("interactions", "rejected_events", "interaction_history", "rejected_history")


@pytest.fixture(scope="module")
def empty_tables() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        create_tables(Path(folder))
        yield Path(folder)


@pytest.fixture
def settings(project_settings: Settings, empty_tables: Path, tmp_path: Path) -> Settings:
    return in_folder(project_settings, empty_tables, tmp_path)


def in_folder(settings: Settings, empty_tables: Path, folder: Path) -> Settings:
    shutil.copytree(empty_tables, folder / "data")
    return msgspec.structs.replace(
        settings, storage=msgspec.structs.replace(settings.storage, root=str(folder / "data"))
    )


def append(settings: Settings, name: TableName, *rows: dict[str, object]) -> None:
    table = pa.Table.from_pylist(list(rows), schema=SCHEMAS[name])
    write_deltalake(table_path(settings.root, name), table, mode="append")


Record = tuple[int, str, str]
"""Partition, user, and `rating`, `forget`, `duplicate` or `rejected`."""


def ingest(settings: Settings, records: list[Record], topic_id: str = "t", batch: int = 0) -> None:
    """One micro-batch: the next offsets of every partition, with a ledger row for each."""
    ledger = read_table(settings.root, "ingestion_ledger").sort_by("to_offset").to_pylist()
    starts = {row["kafka_partition"]: row["to_offset"] for row in ledger if row["topic_id"] == topic_id}
    ends, counts = dict(starts), {}
    rows: dict[TableName, list[dict[str, object]]] = {"interactions": [], "rejected_events": []}
    for partition, user, fate in records:
        offset = ends.get(partition, 0)
        ends[partition] = offset + 1
        place = {"topic_id": topic_id, "kafka_partition": partition, "kafka_offset": offset}
        place |= {"ingested_at": START + dt.timedelta(hours=batch)}
        count = counts.setdefault(partition, {"accepted": 0, "duplicate": 0, "rejected": 0})
        if fate in {"rating", "forget"}:
            count["accepted"] += 1
            item = None if fate == "forget" else f"{topic_id}-{partition}-{offset}"
            event = {"user_id": user, "item_id": item, "event_type": fate, "event_key": offset, "timestamp": START}
            rows["interactions"].append(event | place)
        else:
            count[fate] += 1
            raw = json.dumps({"user_id": user, "rating": 4}).encode()
            rows["rejected_events"].append({"value": raw, "reason": fate.replace("rejected", "wrong_type")} | place)
    for name, found in rows.items():
        if found:
            append(settings, name, *found)
    appended = [
        LedgerRow(partition, starts.get(partition, 0), ends[partition], **count) for partition, count in counts.items()
    ]
    append_rows(settings.root, settings.streaming.topic, topic_id, appended)


def import_past(settings: Settings, *users: str) -> None:
    event = {"item_id": "i", "event_type": "rating", "event_key": 1, "timestamp": START}
    append(settings, "interaction_history", *({"user_id": user} | event for user in users))
    rejected = ({"source_row": json.dumps({"user_id": user}), "reason": "wrong_type"} for user in users)
    append(settings, "rejected_history", *rejected)


def in_files(settings: Settings) -> set[str]:
    """Every text and every byte string in the current files of the tables with personal data."""
    found: set[str] = set()
    for name in PERSONAL:
        for row in (
            ds.dataset(DeltaTable(table_path(settings.root, name)).file_uris(), format="parquet").to_table().to_pylist()
        ):
            if row.get("event_type") != "forget":
                found |= {str(row.get(column)) for column in ("user_id", "value", "source_row")}
    return found


def seen(settings: Settings) -> list[dict[str, object]]:
    rows = read_event_rows(settings.root, current_position(settings.root, settings.streaming.topic)).to_pylist()
    return sorted(rows, key=str)


def assert_proven(settings: Settings) -> None:
    assert contiguity_gaps(settings.root) == []
    assert accounting_errors(settings.root) == []
    assert accounting_differences(settings.root) == []


def three_users(settings: Settings) -> None:
    import_past(settings, "ann", "bob")
    ingest(settings, [(0, "ann", "rating"), (0, "ann", "rejected"), (0, "bob", "rating"), (1, "cat", "rating")])
    ingest(settings, [(0, "ann", "duplicate"), (0, "ann", "rating"), (1, "bob", "rejected")], batch=1)
    ingest(settings, [(0, "ann", "forget"), (0, "ann", "rating"), (0, "bob", "duplicate")], batch=2)


def test_rows_rejects_and_history_of_a_forgotten_user_leave_the_files(settings: Settings) -> None:
    three_users(settings)
    before = seen(settings)
    assert erase_forgotten(settings) == Erasure(
        users=1, interactions=2, rejected_events=2, history=1, rejected_history=1, files=6
    )
    assert [text for text in in_files(settings) if "ann" in text] == ["ann"], "the rating after the forget stands"
    kept = read_table(settings.root, "interactions", ["user_id", "event_type"]).to_pylist()
    assert [row for row in kept if row["user_id"] == "ann"] == [
        {"user_id": "ann", "event_type": "forget"},
        {"user_id": "ann", "event_type": "rating"},
    ]
    assert seen(settings) == before
    assert forgotten_users(settings.root).to_pylist() == ["ann"]
    ingested_us = int((START + dt.timedelta(hours=2)).timestamp()) * 1_000_000
    assert read_forgotten_users(settings.root) == [ForgottenUser("ann", "t", 0, 5, ingested_us)]
    assert_proven(settings)
    assert erase_forgotten(settings) == Erasure(), "nothing is left to do"


def test_without_a_forget_no_table_is_touched(settings: Settings) -> None:
    import_past(settings, "ann")
    ingest(settings, [(0, "ann", "rating"), (0, "ann", "rejected")])
    versions = [DeltaTable(table_path(settings.root, name)).version() for name in SCHEMAS]
    assert erase_forgotten(settings) == Erasure()
    assert [DeltaTable(table_path(settings.root, name)).version() for name in SCHEMAS] == versions


def test_only_files_that_hold_the_user_are_rewritten(settings: Settings) -> None:
    for batch in range(4):
        ingest(settings, [(0, "ann" if batch == 2 else "bob", "rating")], batch=batch)
    ingest(settings, [(0, "ann", "forget")], batch=5)
    files = set(DeltaTable(table_path(settings.root, "interactions")).file_uris())
    assert erase_forgotten(settings).files == 1
    assert len(files - set(DeltaTable(table_path(settings.root, "interactions")).file_uris())) == 1


def test_a_missing_and_a_doubled_row_are_still_found_after_a_removal(settings: Settings) -> None:
    three_users(settings)
    erase_forgotten(settings)
    table = DeltaTable(table_path(settings.root, "interactions"))
    table.delete("user_id = 'cat'")
    assert accounting_errors(settings.root)
    assert accounting_differences(settings.root)
    ingest(settings, [(1, "cat", "rating")], batch=3)
    row = read_table(settings.root, "interactions").filter(pa.compute.field("user_id") == "cat")
    write_deltalake(table_path(settings.root, "interactions"), row, mode="append")
    assert accounting_errors(settings.root)
    assert accounting_differences(settings.root)


def test_rows_that_the_removal_only_wrote_down_do_not_count(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_users(settings)
    monkeypatch.setattr(removed_rows, "rewrite_files", raising)
    with pytest.raises(RuntimeError, match="killed"):
        erase_forgotten(settings)
    assert read_table(settings.root, "removed_rows").num_rows
    assert_proven(settings)


def raising(*_: object, **__: object) -> None:
    raise RuntimeError("killed")


@pytest.mark.parametrize(
    ("module", "step", "calls"),
    [
        (removed_rows, "append_to_table", 0),
        (removed_rows, "rewrite_files", 0),
        (removed_rows, "rewrite_files", 1),
        (erasure, "append_to_table", 0),
        (erasure, "write_forgotten_users", 0),
        (erasure, "rewrite_files", 0),
        (erasure, "rewrite_files", 1),
    ],
)
def test_after_a_kill_at_any_step_the_proofs_hold_and_a_repetition_completes_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, module: object, step: str, calls: int
) -> None:
    three_users(settings)
    before, real, done = seen(settings), getattr(module, step), [0]

    def step_then_kill(*arguments: object, **named: object) -> object:
        if done[0] == calls:
            raise RuntimeError("killed")
        done[0] += 1
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(module, step, step_then_kill)
        with pytest.raises(RuntimeError, match="killed"):
            erase_forgotten(settings)
    assert_proven(settings)
    assert seen(settings) == before
    erase_forgotten(settings)
    assert_proven(settings)
    assert seen(settings) == before
    assert [text for text in in_files(settings) if "ann" in text] == ["ann"]
    assert forgotten_users(settings.root).to_pylist() == ["ann"]
    assert [user.user_id for user in read_forgotten_users(settings.root)] == ["ann"]


def test_only_rejects_from_before_the_forget_go(settings: Settings) -> None:
    ingest(settings, [(1, "ann", "rejected"), (0, "ann", "duplicate")])
    ingest(settings, [(0, "ann", "rejected"), (0, "ann", "forget"), (0, "ann", "rejected")], batch=1)
    ingest(settings, [(1, "ann", "rejected"), (0, "ann", "duplicate")], batch=2)
    assert erase_forgotten(settings).rejected_events == 3
    kept = read_table(settings.root, "rejected_events", ["kafka_partition", "kafka_offset"])
    assert sorted(map(tuple, (row.values() for row in kept.to_pylist()))) == [(0, 3), (0, 4), (1, 1)]
    assert_proven(settings)


def test_everything_of_an_earlier_topic_goes(settings: Settings) -> None:
    ingest(settings, [(0, "ann", "rating"), (3, "ann", "rejected")], topic_id="old")
    ingest(settings, [(1, "ann", "rating"), (0, "bob", "rating"), (0, "ann", "forget")], topic_id="new", batch=1)
    erasure_of_ann = erase_forgotten(settings)
    assert (erasure_of_ann.interactions, erasure_of_ann.rejected_events) == (1, 1)
    assert_proven(settings)


def test_an_import_after_the_forget_is_cleaned_by_the_next_run(settings: Settings) -> None:
    three_users(settings)
    erase_forgotten(settings)
    ingest(settings, [(0, "bob", "forget")], batch=4)
    assert erase_forgotten(settings).history == 1
    assert read_table(settings.root, "interaction_history").num_rows == 0


records = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["rating", "rating", "rejected", "duplicate", "forget"]),
    ),
    max_size=8,
)


@hypothesis_settings(max_examples=10)
@given(batches=st.lists(st.tuples(st.sampled_from(["t1", "t1", "t2"]), records, st.booleans()), max_size=4))
def test_readers_see_the_same_before_and_after_whatever_was_sent(
    project_settings: Settings, empty_tables: Path, batches: list[tuple[str, list[Record], bool]]
) -> None:
    with TemporaryDirectory() as folder:
        settings = in_folder(project_settings, empty_tables, Path(folder))
        import_past(settings, "ann", "bob")
        topics: Callable[[tuple[str, object, object]], str] = lambda batch: batch[0]  # noqa: E731
        for number, (topic_id, sent, erases) in enumerate(sorted(batches, key=topics)):
            ingest(settings, sent, topic_id, number)
            before = seen(settings)
            if erases:
                erase_forgotten(settings)
            assert seen(settings) == before
        erase_forgotten(settings)
        assert_proven(settings)
        kept = read_table(settings.root, "interactions").filter(pa.compute.field("event_type") != "forget").num_rows
        stands = len(seen(settings)) - read_table(settings.root, "interaction_history").num_rows
        assert kept == stands, "the files hold what readers see, and nothing else"
