from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion import sources
from recommender_assets.local import replay
from recommender_assets.local.replay import ReplayError, ratings_to_replay, send_ratings
from recommender_assets.settings import HistorySettings, Settings, load_settings
from recommender_serving.engine.events import Event, decode_event, derived_event_id


@pytest.fixture
def settings() -> Settings:
    return load_settings(Path(__file__).parents[4] / "config.yaml", environ={})


def test_history_and_replay_together_are_all_ratings(settings: Settings) -> None:
    replayed = ratings_to_replay(settings)
    earlier = pc.field("timestamp") < settings.history.end
    imported = sources.ratings().filter((pc.field("timestamp") >= settings.history.start) & earlier)
    assert replayed.num_rows > 0
    assert replayed.num_rows + imported.num_rows == sources.ratings().num_rows
    assert pc.min(replayed["timestamp"]).as_py() >= settings.history.end > pc.max(imported["timestamp"]).as_py()


def test_another_history_has_nothing_to_replay(settings: Settings) -> None:
    other = msgspec.structs.replace(settings, history=HistorySettings(source="csv", path="mine.csv"))
    with pytest.raises(ReplayError, match=r"history\.source is csv: only the built-in ratings .* those of mine\.csv"):
        ratings_to_replay(other)


class RefusingProducer:
    """Takes two events, then has a full queue once, and gets no acknowledgement for one event."""

    def __init__(self, configuration: dict[str, object]) -> None:
        assert configuration["enable.idempotence"]
        self.taken = 0
        self.polled = False

    def produce(self, *_: object, **__: object) -> None:
        if self.taken == 2 and not self.polled:
            self.polled = True
            raise BufferError
        self.taken += 1

    def poll(self, _: float) -> None:
        pass

    def flush(self, _: float) -> int:
        assert self.taken == 3, "the event that met a full queue was sent again"
        return 1


def test_events_that_kafka_did_not_take_are_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "Producer", RefusingProducer)
    with pytest.raises(ReplayError, match="1 of 3 events were not taken by Kafka: no acknowledgement"):
        send_ratings(settings, ratings_to_replay(settings).slice(0, 3), None, None)


class Clock:
    """A clock that only moves when someone waits."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class RecordingProducer:
    """Keeps what it is given and when; waiting moves the clock; every `full_every`-th attempt meets a full queue."""

    clock: Clock
    full_every = 0

    def __init__(self, _: dict[str, object]) -> None:
        self.sent: list[tuple[float, str, bytes, str]] = []
        self.delivered: list[Callable[[object, object], None]] = []
        self.attempts = 0
        self.longest_wait = 0.0
        type(self).latest = self

    latest: "RecordingProducer"

    def produce(self, topic: str, value: bytes, key: str, on_delivery: Callable[[object, object], None]) -> None:
        self.attempts += 1
        if self.full_every and self.attempts % self.full_every == 0:
            raise BufferError
        self.sent.append((self.clock.now, topic, value, key))
        self.delivered.append(on_delivery)

    def poll(self, seconds: float) -> None:
        self.longest_wait = max(self.longest_wait, seconds)
        self.clock.now += max(seconds, 1e-9)  # as a real clock, it never stands still

    def flush(self, _: float) -> int:
        return 0


@contextmanager
def recording(full_every: int = 0) -> Iterator[type[RecordingProducer]]:
    kind = type("Recording", (RecordingProducer,), {"clock": Clock(), "full_every": full_every})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "Producer", kind)
        patch.setattr(replay, "time", kind.clock)
        yield kind


ROWS = sources.ratings().slice(0, 1_201)
LOADED = load_settings(Path(__file__).parents[4] / "config.yaml", environ={})


@given(st.integers(0, 30), st.floats(0.5, 5_000), st.integers(0, 4).filter(lambda n: n != 1))
def test_no_event_is_sent_before_its_turn_nor_late_and_none_is_lost_to_a_full_queue(
    count: int, rate: float, full_every: int
) -> None:
    with recording(full_every) as producer:
        assert send_ratings(LOADED, ROWS.slice(0, count), rate, None) == count
    times = [time for time, *_ in producer.latest.sent]
    waits_for_room = 0.5 * (producer.latest.attempts - count)
    assert len(times) == count
    assert all(i / rate - 1e-6 <= time <= i / rate + waits_for_room + 1e-6 for i, time in enumerate(times))
    assert producer.latest.longest_wait <= (0.5 if waits_for_room else 0.1)


def test_events_are_the_ratings_in_their_order_keyed_by_user() -> None:
    with recording(full_every=3) as producer:
        send_ratings(LOADED, ROWS, None, None)
    for row, (_, topic, value, key) in zip(ROWS.to_pylist(), producer.latest.sent, strict=True):
        event = decode_event(value, 2**40, LOADED.ratings)
        assert isinstance(event, Event)
        assert (topic, key) == (LOADED.streaming.topic, row["user_id"])
        assert (event.user_id, event.item_id, event.rating) == (row["user_id"], row["item_id"], row["rating"])
        assert event.timestamp_us == row["timestamp"].timestamp() * 1e6
        assert event.event_id == derived_event_id(row["user_id"], row["item_id"], "rating", event.timestamp_us)


@pytest.mark.parametrize(("count", "steps"), [(0, [0]), (1, [0, 1]), (500, [0, 500]), (1_201, [0, 500, 1_000, 1_201])])
def test_progress_is_told_now_and_then_and_at_the_end(count: int, steps: list[int]) -> None:
    told: list[tuple[int, int]] = []
    with recording():
        send_ratings(LOADED, ROWS.slice(0, count), None, lambda *step: told.append(step))
    assert told == [(step, count) for step in steps]


def test_a_refused_event_is_an_error_with_the_brokers_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording() as producer:

        def flush(self: RecordingProducer, _: float) -> int:
            for number, delivered in enumerate(self.delivered):
                delivered("message too large" if number == 1 else None, None)
            return 2

        monkeypatch.setattr(producer, "flush", flush)
        with pytest.raises(ReplayError, match="3 of 5 events were not taken by Kafka: message too large"):
            send_ratings(LOADED, ROWS.slice(0, 5), None, None)
