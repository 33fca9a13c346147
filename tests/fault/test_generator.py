"""The judge of the fault tests sees what they are for."""

from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.settings import Settings
from tests.fault.generator import EVENT, Difference, Generator, Sent, broken, event

GOOD, BAD = Sent(event(1), EVENT), broken(7)


@pytest.fixture
def generator(project_settings: Settings, tmp_path: Path) -> Generator:
    """It has sent an event, the same event again, and a broken record."""
    create_tables(tmp_path)
    settings = msgspec.structs.replace(
        project_settings, storage=msgspec.structs.replace(project_settings.storage, root=str(tmp_path))
    )
    return Generator(settings, sent={(0, 0): GOOD, (0, 1): GOOD, (1, 0): BAD})


def write(generator: Generator, name: TableName, *rows: tuple[int, int, bytes | None, str]) -> None:
    fields = ("kafka_partition", "kafka_offset", "value", "reason")
    table = pa.Table.from_pylist([dict(zip(fields, row, strict=True)) for row in rows], schema=SCHEMAS[name])
    write_deltalake(table_path(generator.settings.root, name), table, mode="append")


def kinds(generator: Generator) -> list[str]:
    return sorted(difference.kind for difference in generator.differences())


def test_what_is_as_it_was_sent_has_no_difference(generator: Generator) -> None:
    write(generator, "interactions", (0, 0, None, ""))
    write(generator, "rejected_events", (0, 1, GOOD.value, "duplicate"), (1, 0, BAD.value, BAD.fate))
    assert generator.differences() == []


def test_lost_doubled_and_misjudged_records_are_told_apart(generator: Generator) -> None:
    assert kinds(generator) == ["lost"] * 4
    write(generator, "interactions", (0, 0, None, ""), (0, 1, None, ""))
    write(generator, "rejected_events", (1, 0, BAD.value, "wrong_type"))
    assert BAD.fate != "wrong_type"
    assert kinds(generator) == ["doubled", "wrong_reason"], "the event was accepted twice, and a reason is wrong"
    write(generator, "rejected_events", (1, 0, b"other", BAD.fate), (5, 5, b"", "wrong_type"))
    assert kinds(generator) == ["doubled", "doubled", "invented", "other_bytes", "wrong_reason"]
    assert Difference("doubled", "(1, 0) has 2 rows") in generator.differences()
