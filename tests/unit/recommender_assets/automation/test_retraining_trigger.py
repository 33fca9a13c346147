import msgspec
import pytest

from recommender_assets.automation.backoff import Attempts
from recommender_assets.automation.retraining_trigger import accepted_since, decide_retraining, read_attempts

LEDGER = [
    {"topic_id": "t1", "kafka_partition": 0, "from_offset": 0, "accepted": 5},
    {"topic_id": "t1", "kafka_partition": 0, "from_offset": 6, "accepted": 2},
    {"topic_id": "t1", "kafka_partition": 1, "from_offset": 0, "accepted": 30},
    {"topic_id": "t2", "kafka_partition": 0, "from_offset": 0, "accepted": 400},
]


@pytest.mark.parametrize(
    ("topic_id", "next_offsets", "expected"),
    [("", {}, 437), ("t1", {"0": 6, "1": 30}, 402), ("t1", {"0": 6}, 432), ("t2", {"0": 400}, 37)],
    ids=["no position", "within a topic", "a new partition", "the newest topic"],
)
def test_interactions_after_a_position_are_counted(topic_id: str, next_offsets: dict[str, int], expected: int) -> None:
    assert accepted_since(LEDGER, topic_id, next_offsets) == expected


@pytest.mark.parametrize(
    ("count", "decided_at", "skip"),
    [
        (1000, "p", None),
        (999, "p", "999 of 1000 new interactions"),
        (1, None, None),
        (0, None, "0 of 1 new interactions"),
    ],
)
def test_the_threshold_counts_once_there_was_a_decision(count: int, decided_at: str | None, skip: str | None) -> None:
    assert decide_retraining(count, 1000, decided_at, Attempts(), 0.0).skip == skip


def test_failed_training_is_asked_for_again_with_growing_pauses() -> None:
    attempts, requests = Attempts(), []
    for now in range(0, 300, 5):
        outcome = decide_retraining(2000, 1000, "p", attempts, float(now))
        attempts = outcome.attempts
        if outcome.skip is None:
            requests.append(now)
    assert requests == [0, 30, 90, 210]


def test_a_decision_at_a_new_position_ends_the_pause() -> None:
    attempts = decide_retraining(2000, 1000, "p", Attempts(), 0.0).attempts
    assert decide_retraining(2000, 1000, "q", attempts, 1.0).skip is None


@pytest.mark.parametrize("cursor", [None, "", "17", '{"count": "many"}'])
def test_a_foreign_cursor_starts_afresh(cursor: str | None) -> None:
    assert read_attempts(cursor) == Attempts()


def test_the_cursor_survives_its_encoding() -> None:
    attempts = Attempts(mark="m", count=3, requested_at=2.5)
    assert read_attempts(msgspec.json.encode(attempts).decode()) == attempts
