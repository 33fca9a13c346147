"""The metrics of `recommender stream` itself: how long its micro-batches take."""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server

from recommender_assets.ingestion.streaming_query import BatchReport
from recommender_assets.settings import MonitoringSettings

_BUCKETS = (0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)


class StreamMetrics:
    """Metrics of one stream, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.batch_duration = Histogram(
            "recommender_stream_batch_duration_seconds",
            "Time from the start of a micro-batch to its last commit.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.records = Counter(
            "recommender_stream_records",
            "Records of committed micro-batches, by result.",
            ("result",),
            registry=self.registry,
        )

    def observe(self, batch: BatchReport) -> None:
        """Take a committed micro-batch into account."""
        self.batch_duration.observe(batch.seconds)
        for result in ("accepted", "duplicate", "rejected"):
            self.records.labels(result).inc(getattr(batch, result))

    def serve(self, monitoring: MonitoringSettings) -> str:
        """Answer Prometheus in the background, as long as the process lives; ingestion does not depend on it.

        Returns:
            A sentence that says where the metrics are, or why they are nowhere.
        """
        if monitoring.stream_port == 0:
            return "no metrics are served (monitoring.stream_port is 0)"
        place = f"{monitoring.host}:{monitoring.stream_port}"
        try:
            start_http_server(monitoring.stream_port, monitoring.host, self.registry)
        except OSError as error:
            return f"no metrics are served at {place} (monitoring.host, monitoring.stream_port): {error}"
        return f"metrics at http://{place}/metrics"
