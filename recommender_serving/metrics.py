"""Prometheus metrics of the service."""

from litestar.types import HTTPScope
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from recommender_serving.loop_metrics import LoopCounters, LoopHistogram, LoopHistograms

_LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNMATCHED_ROUTE = "unmatched"


class Metrics:
    """All metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.request_duration = LoopHistograms(
            "recommender_http_request_duration_seconds",
            "Time from the first byte of a request to the last byte of its answer; its count is the request count.",
            ("method", "route", "status"),
            _LATENCY_BUCKETS,
            self.registry,
        )
        self.recommendations = LoopCounters(
            "recommender_recommendations", "Lists served, by source.", ("source",), self.registry
        )
        self.experiment_lists = LoopCounters(
            "recommender_experiment_lists",
            "Lists by arm: `exposed`; `forced`, left out of the analysis; `not_deployed`, answered by the champion.",
            ("experiment", "variant", "result"),
            self.registry,
        )
        self.running_experiments = Gauge(
            "recommender_experiment_running",
            "1 for every experiment that users are assigned to.",
            ("experiment",),
            registry=self.registry,
        )
        self.refused_experiments = Counter(
            "recommender_refused_experiments",
            "Times that the file of running experiments was found to be damaged.",
            registry=self.registry,
        )
        log_lists = Counter(
            "recommender_log_lists",
            "Served lists for the recommendation log: `written` to its queue; `dropped`, of these, never in Kafka.",
            ("result",),
            registry=self.registry,
        )
        self.log_written, self.log_dropped = log_lists.labels("written"), log_lists.labels("dropped")
        self.user_solve_duration = LoopHistograms(
            "recommender_user_solve_duration_seconds",
            "Time to bring one user's vectors up to date with their events.",
            (),
            _LATENCY_BUCKETS,
            self.registry,
        ).labels()
        self.events = Counter(
            "recommender_events", "Events received by POST /events, by result.", ("result",), registry=self.registry
        )
        self.live_records = Counter(
            "recommender_live_records", "Records read from Kafka, by result.", ("result",), registry=self.registry
        )
        self.live_lag = Gauge(
            "recommender_live_lag_records", "Records in the topic that are not read yet.", registry=self.registry
        )
        self.live_delay = Histogram(
            "recommender_live_delay_seconds",
            "From a record's time in Kafka to its place in the live view; the newest record of each batch read.",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.live_events = Gauge(
            "recommender_live_events", "Events since the models' positions that are held.", registry=self.registry
        )
        self.live_events_dropped = Gauge(
            "recommender_live_events_dropped",
            "Events since the models' positions that were let go of for lack of room.",
            registry=self.registry,
        )
        self.new_items = Gauge(
            "recommender_new_items",
            "Items that the model does not know and that are listed all the same.",
            ("algorithm",),
            registry=self.registry,
        )
        list_cache = LoopCounters(
            "recommender_list_cache", "Lists by whether they had been rendered.", ("result",), self.registry
        )
        self.cache_hits, self.cache_misses = list_cache.labels("hit"), list_cache.labels("miss")
        self.cache_bytes = Gauge(
            "recommender_list_cache_bytes", "Memory of kept users and lists.", ("algorithm",), registry=self.registry
        )
        self.refused_requests = Counter(
            "recommender_refused_requests",
            "Requests turned away before any route, by the code of the answer.",
            ("code",),
            registry=self.registry,
        )
        self.champion_created = Gauge(
            "recommender_champion_created_timestamp_seconds",
            "Unix time at which the champion was trained.",
            registry=self.registry,
        )
        self.champion = Info("recommender_champion", "The model that is being served.", registry=self.registry)
        self.champion_swaps = Counter("recommender_champion_swaps", "Models put into service.", registry=self.registry)
        self.refused_models = Counter(
            "recommender_refused_models", "Models or pointers refused as damaged.", registry=self.registry
        )
        self.degraded = Gauge(
            "recommender_degraded",
            "1 while the stated reason degrades the service.",
            ("reason",),
            registry=self.registry,
        )
        self.ready = Gauge(
            "recommender_ready", "1 when the service has a model to answer with.", registry=self.registry
        )


class RequestDurations:
    """Observes every HTTP request, those that match no route included.

    Routes are labelled by template (`/recommendations/user/{user_id}`), so that ids never become time series.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._duration = metrics.request_duration
        self._series: dict[tuple[str, str, int], LoopHistogram] = {}

    def observe(self, scope: HTTPScope, status: int, seconds: float) -> None:
        """Count one request.

        Args:
            scope: ASGI scope of the request, after it was routed.
            status: Of the answer; 500 without one.
            seconds: From its first byte to the last one of its answer.
        """
        method: str = scope["method"]
        key = (method, scope.get("path_template") or _UNMATCHED_ROUTE, status)
        series = self._series.get(key)
        if series is None:
            known_method = method if method in _METHODS else "other"
            series = self._duration.labels(known_method, key[1], str(status))
            if known_method == method:
                self._series[key] = series
        series.observe(seconds)
