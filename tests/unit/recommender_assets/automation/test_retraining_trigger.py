import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    batches=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(0, 9)), max_size=25),
    cut=st.integers(0, 25),
)
def test_each_accepted_interaction_counts_before_or_after_a_position(
    batches: list[tuple[int, int, int]], cut: int
) -> None:
    rows, ends, position, after = [], {}, {}, 0
    for number, (partition, length, valid) in enumerate(batches):
        start = ends.get(str(partition), 0)
        accepted = min(valid, length)
        rows.append({"topic_id": "t", "kafka_partition": partition, "from_offset": start, "accepted": accepted})
        ends[str(partition)] = start + length
        if number < cut:
            position = dict(ends)
        else:
            after += accepted
    assert accepted_since(rows, "t", position) == after
    assert accepted_since(rows, "t", ends) == 0
    assert accepted_since(rows, "another", ends) == accepted_since(rows, "", {}) == sum(r["accepted"] for r in rows)


def test_an_empty_ledger_has_nothing_new() -> None:
    assert accepted_since([], "t", {"0": 5}) == 0


def test_below_the_threshold_the_requests_made_so_far_are_kept() -> None:
    attempts = Attempts(mark="p", count=2, requested_at=5.0)
    assert decide_retraining(3, 1000, "p", attempts, 6.0).attempts == attempts


def test_a_pause_says_how_often_and_until_when() -> None:
    first = decide_retraining(2000, 1000, "p", Attempts(), 100.0)
    assert first.attempts == Attempts(mark="p", count=1, requested_at=100.0)
    second = decide_retraining(2000, 1000, "p", first.attempts, 110.0)
    assert second.skip == "1 request(s) led to no decision: next one in 20 s"
    assert second.attempts == first.attempts


def test_the_first_decision_ends_the_pause_of_the_attempts_before_it() -> None:
    attempts = decide_retraining(5, 1000, None, Attempts(), 0.0).attempts
    assert decide_retraining(5, 1000, None, attempts, 1.0).skip is not None
    assert decide_retraining(1000, 1000, "p", attempts, 1.0).skip is None
