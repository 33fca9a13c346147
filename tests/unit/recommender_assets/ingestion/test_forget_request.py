"""From a request to a record that is ingested; `tests/integration` has the real broker."""

from pathlib import Path
from typing import Any

import pytest

from recommender_assets.ingestion import forget_request
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.forget_request import ForgetError, forget_user, send_forget
from recommender_assets.ingestion.ledger import LedgerPosition
from recommender_assets.ingestion.streaming_query import IngestionReport
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.ingestion.writer_lease import WriterBusyError
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.events import Event, decode_event


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    create_tables(tmp_path)
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


class Acknowledging:
    """A producer whose broker stores the record in partition 1 at offset 7; with an error it refuses it."""

    error: object = None
    is_silent = False

    def __init__(self, properties: dict[str, object]) -> None:
        assert properties["enable.idempotence"]

    def produce(self, topic: str, value: bytes, *, key: str, on_delivery: Any) -> None:
        type(self).sent = (topic, value, key)
        self.answer = lambda: on_delivery(self.error, self)

    def flush(self, _: float) -> int:
        if not self.is_silent:
            self.answer()
        return int(self.is_silent)

    def partition(self) -> int:
        return 1

    def offset(self) -> int:
        return 7


class Refusal:
    def str(self) -> str:
        return "the topic is full"


def test_the_record_is_a_forget_event_of_now_keyed_by_the_user(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget_request, "Producer", Acknowledging)
    assert send_forget(settings, "ann") == (1, 7)
    topic, value, key = Acknowledging.sent  # type: ignore[attr-defined]
    assert (topic, key) == (settings.streaming.topic, "ann")
    event = decode_event(value, 10**13, settings.ratings)
    assert isinstance(event, Event)
    assert (event.user_id, event.event_type) == ("ann", "forget")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"error": Refusal()}, "the topic is full"), ({"is_silent": True}, "no acknowledgement within 30 s")],
)
def test_an_event_that_kafka_did_not_take_is_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], message: str
) -> None:
    monkeypatch.setattr(forget_request, "Producer", type("Producer", (Acknowledging,), changes))
    with pytest.raises(ForgetError, match=f"nothing was forgotten: {message}"):
        send_forget(settings, "ann")


@pytest.mark.parametrize("user_id", ["", "a\nb", "x" * 257])
def test_an_id_that_is_none_is_refused(settings: Settings, user_id: str) -> None:
    with pytest.raises(ValueError, match="user_id"):
        send_forget(settings, user_id)


def reports(settings: Settings, monkeypatch: pytest.MonkeyPatch, *turns: str) -> list[str]:
    """What each attempt to ingest finds: `stream` or `busy`; after the last one the record is in the ledger."""
    waiting = list(turns)

    def ingest(*_: object) -> IngestionReport:
        turn = waiting.pop(0)
        if not waiting:
            append_rows(settings.root, settings.streaming.topic, "t", [LedgerRow(1, 0, 8)])
        if turn == "busy":
            raise WriterBusyError("maintenance", "maintenance")
        return IngestionReport(0, 0, 0, 0, 0, LedgerPosition("topic"), writer="stream")

    monkeypatch.setattr(forget_request, "ingest_or_report", ingest)
    monkeypatch.setattr(forget_request, "Producer", Acknowledging)
    monkeypatch.setattr(forget_request, "_PAUSE_S", 0.0)
    return waiting


def test_it_waits_for_whoever_ingests(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, steps = reports(settings, monkeypatch, "stream", "busy", "stream"), list[str]()
    forget_user(lambda: pytest.fail("Spark was started"), settings, "ann", steps.append)
    assert not waiting
    assert steps == ["the event is in partition 1 at offset 7; the service forgets the user now"]


def test_it_does_not_wait_for_ever(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    reports(settings, monkeypatch, *["stream"] * 10_000)
    monkeypatch.setattr(forget_request, "_INGESTED_S", 0.05)
    with pytest.raises(ForgetError, match=r"partition 1 at offset 7, but was not ingested .* `recommender maintain`"):
        forget_user(lambda: pytest.fail("Spark was started"), settings, "ann", print)
