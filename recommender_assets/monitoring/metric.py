"""What a metric is called, means and is labelled with, for the exporter and the documentation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

Samples = Mapping[tuple[str, ...], float]
"""Value by the values of the labels."""


@dataclass(frozen=True)
class MetricDefinition:
    """A metric by Prometheus' conventions.

    Attributes:
        name: as it is scraped; a counter ends in `_total`.
        kind: gauge or counter.
        help: one sentence.
        labels: names of its labels.
    """

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()

    def family(self, samples: Samples) -> Metric:
        """The metric with its values, as `prometheus_client` renders it."""
        kind = GaugeMetricFamily if self.kind == "gauge" else CounterMetricFamily
        family: GaugeMetricFamily | CounterMetricFamily = kind(self.name, self.help, labels=self.labels)
        for labels, value in samples.items():
            family.add_metric(labels, value)
        return family


@dataclass(frozen=True)
class Source:
    """Where a group of metrics is read from.

    Attributes:
        name: value of the label `source` of the exporter's own metrics.
        metrics: everything that `read` may return.
        read: the values now; a metric without any is left out. Whatever it raises means that the source is down.
    """

    name: str
    metrics: tuple[MetricDefinition, ...]
    read: Callable[[], Mapping[MetricDefinition, Samples]]
