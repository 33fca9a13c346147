"""`recommender metrics`: what Prometheus scrapes of the offline half, read from its sources on demand."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from recommender_assets.monitoring.dagster_metrics import DAGSTER_METRICS, DagsterMetrics
from recommender_assets.monitoring.experiment_metrics import EXPERIMENT_METRICS, ExperimentMetrics
from recommender_assets.monitoring.metric import MetricDefinition, Samples, Source
from recommender_assets.monitoring.model_metrics import MODEL_METRICS, ModelMetrics
from recommender_assets.monitoring.table_metrics import TABLE_METRICS, TableMetrics
from recommender_assets.monitoring.topic_metrics import TOPIC_METRICS, TopicMetrics
from recommender_assets.settings import Settings

SOURCE_UP = MetricDefinition(
    "recommender_exporter_source_up", "gauge", "1 if the source could be read, 0 if not.", ("source",)
)
SOURCE_DURATION = MetricDefinition(
    "recommender_exporter_source_read_duration_seconds", "gauge", "Time that reading the source took.", ("source",)
)
EXPORTER_METRICS = (SOURCE_UP, SOURCE_DURATION)

KEPT_SECONDS = 3.0

logger = logging.getLogger(__name__)


class _Reading(NamedTuple):
    """What one source gave: its values, or why it gave none."""

    source: str
    values: Mapping[MetricDefinition, Samples]
    problem: str
    seconds: float


class Exporter(Collector):
    """Reads all sources at the same time, at most once every `KEPT_SECONDS`; a source that fails is down, no more.

    Args:
        sources: each with a time-out of its own.
        clock: seconds that never go back.
    """

    def __init__(self, sources: Sequence[Source], clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._clock = clock
        self._lock = threading.Lock()
        self._families: list[Metric] = []
        self._read_at = -KEPT_SECONDS
        self._problems: dict[str, str] = {}

    def describe(self) -> list[Metric]:
        """Nothing: to register the exporter must not read its sources."""
        return []

    def collect(self) -> list[Metric]:
        """All metrics, not older than `KEPT_SECONDS`."""
        with self._lock:
            if self._clock() - self._read_at >= KEPT_SECONDS:
                self._families = self._read()
                self._read_at = self._clock()
            return self._families

    def _read(self) -> list[Metric]:
        with ThreadPoolExecutor(len(self._sources)) as threads:
            readings = list(threads.map(self._attempt, self._sources))
        for reading in readings:
            self._log_change(reading)
        families = [metric.family(samples) for reading in readings for metric, samples in reading.values.items()]
        up: Samples = {(reading.source,): float(not reading.problem) for reading in readings}
        seconds: Samples = {(reading.source,): reading.seconds for reading in readings}
        return [*families, SOURCE_UP.family(up), SOURCE_DURATION.family(seconds)]

    def _attempt(self, source: Source) -> _Reading:
        started = time.perf_counter()
        values: Mapping[MetricDefinition, Samples] = {}
        problem = ""
        try:
            values = source.read()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other sources are still worth showing
            problem = f"{type(error).__name__}: {error}"
        return _Reading(source.name, values, problem, time.perf_counter() - started)

    def _log_change(self, reading: _Reading) -> None:
        before = self._problems.get(reading.source, "")
        self._problems[reading.source] = reading.problem
        if reading.problem and not before:
            logger.warning("source %s cannot be read: %s", reading.source, reading.problem)
        elif before and not reading.problem:
            logger.warning("source %s can be read again", reading.source)


def sources_of(settings: Settings) -> tuple[Source, ...]:
    """Tables, topic, Dagster, models and experiments of the configured system."""
    return (
        Source("tables", TABLE_METRICS, TableMetrics(settings).read),
        Source("topic", TOPIC_METRICS, TopicMetrics(settings).read),
        Source("dagster", DAGSTER_METRICS, DagsterMetrics(settings).read),
        Source("models", MODEL_METRICS, ModelMetrics(settings).read),
        Source("experiments", EXPERIMENT_METRICS, ExperimentMetrics(settings).read),
    )


def serve_metrics(settings: Settings, stop: threading.Event) -> None:
    """Answer Prometheus until `stop` is set.

    Raises:
        OSError: `monitoring.port` is taken.
    """
    registry = CollectorRegistry()
    registry.register(Exporter(sources_of(settings)))
    ProcessCollector(registry=registry)
    monitoring = settings.monitoring
    try:
        server, thread = start_http_server(monitoring.port, monitoring.host, registry)
    except OSError as error:
        raise OSError(f"{monitoring.host}:{monitoring.port} (monitoring.host, monitoring.port): {error}") from error
    stop.wait()
    server.shutdown()
    server.server_close()
    thread.join()
