import pytest

from recommender_assets.ingestion import topic_position
from recommender_assets.ingestion.commits import LedgerRow
from recommender_assets.ingestion.ledger import LedgerPosition
from recommender_assets.ingestion.topic_position import (
    BrokerUnreachableError,
    DataExpiredError,
    TopicReplacedError,
    Watermarks,
    acceptance_rows,
    verify_position,
    watermarks,
)

POSITION = LedgerPosition("events", "id", {0: 10, 1: 20})


def test_a_topic_that_goes_on_is_fine() -> None:
    verify_position(POSITION, "id", {0: Watermarks(10, 10), 1: Watermarks(0, 25), 2: Watermarks(0, 3)})


def test_anything_is_fine_before_the_first_read() -> None:
    verify_position(LedgerPosition("events"), "id", {0: Watermarks(5, 10)})


def test_another_topic_id_is_refused_and_the_message_names_the_command() -> None:
    with pytest.raises(TopicReplacedError, match=r"events was created anew.*other.*id; .*recommender accept-topic"):
        verify_position(POSITION, "other", {0: Watermarks(0, 99), 1: Watermarks(0, 99)})


def test_a_topic_that_lost_records_that_were_read_is_refused() -> None:
    with pytest.raises(TopicReplacedError, match="partition 1 ends at offset 19, but was read up to offset 20"):
        verify_position(POSITION, "id", {0: Watermarks(0, 10), 1: Watermarks(0, 19)})


def test_expired_records_are_refused_and_named() -> None:
    with pytest.raises(DataExpiredError, match=r"partition 0: offsets 10 to 11 expired .*accept-topic"):
        verify_position(POSITION, "id", {0: Watermarks(12, 30), 1: Watermarks(0, 20)})


def test_accepting_a_new_topic_starts_at_what_it_holds() -> None:
    rows = acceptance_rows(POSITION, "other", {0: Watermarks(4, 9), 1: Watermarks(0, 0)})
    assert rows == [LedgerRow(0, 4, 4, status="accepted"), LedgerRow(1, 0, 0, status="accepted")]


def test_accepting_expired_records_writes_them_down_as_lost() -> None:
    rows = acceptance_rows(POSITION, "id", {0: Watermarks(12, 30), 1: Watermarks(0, 20)})
    assert rows == [LedgerRow(0, 10, 12, lost=2, status="lost")]


def test_there_is_nothing_to_accept_in_a_topic_that_goes_on() -> None:
    assert acceptance_rows(POSITION, "id", {0: Watermarks(0, 30), 1: Watermarks(0, 20)}) == []


def test_a_broker_that_does_not_answer_is_named_by_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_position, "_TIMEOUT_S", 0.2)
    with pytest.raises(BrokerUnreachableError, match=r"within 0\.2 s .*topic events; check streaming\.kafka_bootstrap"):
        watermarks("127.0.0.1:1", "events")
