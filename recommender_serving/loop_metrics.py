"""Metrics that only the event loop writes: plain numbers without a lock, put into Prometheus' form when it asks.

Every request writes several of them, and a value of `prometheus_client` costs ten times as much, for any thread may
write it.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString


class LoopCounter:
    """One series of a counter."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """Count one."""
        self.value += 1


class LoopHistogram:
    """One series of a histogram.

    Attributes:
        counts: Observations by bucket, the last one beyond all bounds.
        sum: Of all observations.
    """

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, amount: float) -> None:
        """Count one observation; one that equals a bound lies below it."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.sum += amount


class LoopCounters(Collector):
    """A counter, one series for each combination of labels.

    Args:
        name: Without `_total`.
        documentation: What is counted.
        labelnames: Names of the labels.
        registry: What collects it.
    """

    def __init__(self, name: str, documentation: str, labelnames: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._documentation, self._labelnames = name, documentation, labelnames
        self._series: dict[tuple[str, ...], LoopCounter] = {}
        registry.register(self)

    def labels(self, *values: str) -> LoopCounter:
        """The series with these labels; the same at every call."""
        return self._series.setdefault(values, LoopCounter())

    def describe(self) -> Iterator[CounterMetricFamily]:
        """The metric without any series."""
        yield CounterMetricFamily(self._name, self._documentation, labels=self._labelnames)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The present state."""
        for family in self.describe():
            for values, series in self._series.items():
                family.add_metric(values, series.value)
            yield family


class LoopHistograms(Collector):
    """A histogram, one series for each combination of labels.

    Args:
        name: As Prometheus is to know it.
        documentation: What is observed.
        labelnames: Names of the labels.
        bounds: Upper bounds of the buckets, ascending.
        registry: What collects it.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._documentation, self._labelnames = name, documentation, labelnames
        self._bounds = bounds
        self._names = [*map(floatToGoString, bounds), "+Inf"]
        self._series: dict[tuple[str, ...], LoopHistogram] = {}
        registry.register(self)

    def labels(self, *values: str) -> LoopHistogram:
        """The series with these labels; the same at every call."""
        return self._series.setdefault(values, LoopHistogram(self._bounds))

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The metric without any series."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The present state."""
        for family in self.describe():
            for values, series in self._series.items():
                buckets = list(zip(self._names, accumulate(series.counts), strict=True))
                family.add_metric(values, buckets, series.sum)
            yield family
