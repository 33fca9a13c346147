"""The same observations give the same page as with `prometheus_client`'s own metrics."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics import enable_created_metrics

from recommender_serving.loop_metrics import LoopCounters, LoopHistograms

BOUNDS = (0.5, 1.0, 2.5)
LABELS = ("method", "status")
labels = st.tuples(st.sampled_from(["GET", 'PO"ST']), st.sampled_from(["200", "404"]))
seconds = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 2.5, 3.0, 1000.0])


@pytest.fixture(autouse=True, scope="module")
def _without_times_of_creation() -> Iterator[None]:
    disable_created_metrics()
    yield
    enable_created_metrics()


def page(registry: CollectorRegistry) -> list[str]:
    return sorted(generate_latest(registry).decode().splitlines())


@given(st.lists(labels))
def test_counters(counted: list[tuple[str, str]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counters = LoopCounters("requests", "What was asked.", LABELS, ours)
    expected = Counter("requests", "What was asked.", LABELS, registry=theirs)
    for values in counted:
        counters.labels(*values).inc()
        expected.labels(*values).inc()
    assert page(ours) == page(theirs)


@given(st.lists(st.tuples(labels, seconds)))
def test_histograms(observed: list[tuple[tuple[str, str], float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histograms = LoopHistograms("seconds", "How long.", LABELS, BOUNDS, ours)
    expected = Histogram("seconds", "How long.", LABELS, buckets=BOUNDS, registry=theirs)
    for values, amount in observed:
        histograms.labels(*values).observe(amount)
        expected.labels(*values).observe(amount)
    assert page(ours) == page(theirs)


def test_one_without_labels_is_there_before_the_first_observation() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    LoopHistograms("seconds", "How long.", (), BOUNDS, ours).labels()
    Histogram("seconds", "How long.", buckets=BOUNDS, registry=theirs)
    assert page(ours) == page(theirs)


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry()
    LoopCounters("requests", "What was asked.", LABELS, registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Counter("requests", "Something else.", registry=registry)
