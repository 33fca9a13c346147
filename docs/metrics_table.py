"""docs/metrics.md, from the metrics themselves."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from recommender_assets.monitoring.exporter import EXPORTER_METRICS, sources_of
from recommender_assets.monitoring.metric import MetricDefinition
from recommender_assets.monitoring.stream_metrics import StreamMetrics
from recommender_assets.settings import load_settings
from recommender_serving.loop_metrics import LoopCounters, LoopHistograms
from recommender_serving.metrics import Metrics

CONFIGURATION = Path(__file__).parents[1] / "config.yaml"
INTRODUCTION = """# Metrics

Names follow Prometheus' conventions: base units, a counter ends in `_total`, a histogram has `_bucket`, `_sum`
and `_count`. Every process also has `process_*` (CPU, memory, files). Alerts and recording rules are in
`deploy/prometheus`; what to do about an alert is in [runbook.md](runbook.md). This page is written by `make docs`.
"""
_SUFFIXES = {"counter": "_total", "info": "_info"}


def described(registry: CollectorRegistry) -> Iterator[MetricDefinition]:
    """The metrics of a registry as they are scraped."""
    for collector in list(registry._collector_to_names):  # noqa: SLF001 - labels without samples are nowhere else
        if not isinstance(collector, MetricWrapperBase | LoopCounters | LoopHistograms):
            continue
        (family,) = collector.describe()
        kind = "gauge" if family.type == "info" else family.type
        name = family.name + _SUFFIXES.get(family.type, "")
        yield MetricDefinition(name, kind, family.documentation, tuple(collector._labelnames))  # type: ignore[arg-type]  # noqa: SLF001


def sections() -> dict[str, list[MetricDefinition]]:
    """Heading -> its metrics."""
    sources = sources_of(load_settings(CONFIGURATION, {}))
    of_exporter = [metric for source in sources for metric in source.metrics]
    return {
        "The service: `api.port`, `/metrics`": list(described(Metrics().registry)),
        "`recommender metrics`: `monitoring.port`": [*of_exporter, *EXPORTER_METRICS],
        "`recommender stream`: `monitoring.stream_port`": list(described(StreamMetrics().registry)),
    }


def table(metrics: Iterable[MetricDefinition]) -> str:
    """The metrics as a Markdown table, by name."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for metric in sorted(metrics, key=lambda metric: metric.name)
    ]
    return "\n".join(["| name | kind | labels | meaning |", "|---|---|---|---|", *rows])


def page() -> str:
    """The whole page."""
    parts = [f"## {heading}\n\n{table(metrics)}\n" for heading, metrics in sections().items()]
    return "\n".join([INTRODUCTION, *parts])
