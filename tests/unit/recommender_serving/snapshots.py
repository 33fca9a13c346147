"""A snapshot around a model, without the service."""

from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.live_events import LiveEvents
from recommender_serving.metrics import Metrics
from recommender_serving.model_loading import prepared
from recommender_serving.search_threads import SearchThreads
from recommender_serving.snapshot import Snapshot


def snapshot_of(model: FactorModel, live: LiveEvents | None = None, cache_bytes: int = 1_000_000) -> Snapshot:
    return Snapshot(
        prepared(model),
        LiveEvents({}) if live is None else live,
        {},
        metrics=Metrics(),
        cache_bytes=cache_bytes,
        threads=SearchThreads(),
    )
