from pathlib import Path

import pyarrow.compute as pc
import pytest

from recommender_assets.ingestion import sources
from recommender_assets.ingestion.history import history_rows
from recommender_assets.local import replay
from recommender_assets.local.replay import ReplayError, ratings_to_replay, send_ratings
from recommender_assets.settings import Settings, load_settings


@pytest.fixture
def settings() -> Settings:
    return load_settings(Path(__file__).parents[4] / "config.yaml", environ={})


def test_history_and_replay_together_are_all_ratings(settings: Settings) -> None:
    replayed = ratings_to_replay(settings)
    imported = history_rows(settings.history.start, settings.history.end)
    assert replayed.num_rows > 0
    assert replayed.num_rows + imported.num_rows == sources.ratings().num_rows
    assert pc.min(replayed["timestamp"]).as_py() >= settings.history.end > pc.max(imported["timestamp"]).as_py()


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
