import logging
import socket
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from recommender_assets.local.broker import free_port
from recommender_assets.monitoring.exporter import (
    EXPORTER_METRICS,
    KEPT_SECONDS,
    Exporter,
    serve_metrics,
    sources_of,
)
from recommender_assets.monitoring.metric import MetricDefinition, Samples, Source
from recommender_assets.settings import MonitoringSettings, Settings
from recommender_serving.engine.config import StorageSettings

GAUGE = MetricDefinition("recommender_test_things", "gauge", "Things.", ("kind",))
COUNTER = MetricDefinition("recommender_test_events_total", "counter", "Events.")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """A source that counts how often it was read and fails when it is told to."""

    def __init__(self) -> None:
        self.readings = 0
        self.failure: Exception | None = None

    def __call__(self) -> Mapping[MetricDefinition, Samples]:
        self.readings += 1
        if self.failure:
            raise self.failure
        return {GAUGE: {("a",): self.readings}, COUNTER: {(): 7}}


def scrape(exporter: Exporter) -> str:
    registry = CollectorRegistry()
    registry.register(exporter)
    return generate_latest(registry).decode()


def test_every_source_is_shown_with_help_and_type() -> None:
    text = scrape(Exporter([Source("one", (GAUGE, COUNTER), Counting())]))
    assert "# HELP recommender_test_things Things.\n# TYPE recommender_test_things gauge\n" in text
    assert 'recommender_test_things{kind="a"} 1.0' in text
    assert "# TYPE recommender_test_events_total counter\nrecommender_test_events_total 7.0" in text
    assert 'recommender_exporter_source_up{source="one"} 1.0' in text


def test_a_source_that_fails_is_down_and_the_others_are_shown() -> None:
    failing = Counting()
    failing.failure = RuntimeError("away")
    text = scrape(Exporter([Source("good", (GAUGE,), Counting()), Source("bad", (), failing)]))
    assert 'recommender_exporter_source_up{source="bad"} 0.0' in text
    assert 'recommender_exporter_source_up{source="good"} 1.0' in text
    assert 'recommender_test_things{kind="a"} 1.0' in text


def test_a_failure_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    source, clock = Counting(), Clock()
    exporter = Exporter([Source("one", (), source)], clock)
    with caplog.at_level(logging.WARNING):
        for failure in (None, OSError("no disk"), OSError("no disk"), None, None):
            source.failure = failure
            exporter.collect()
            clock.now += KEPT_SECONDS
    assert [record.getMessage() for record in caplog.records] == [
        "source one cannot be read: OSError: no disk",
        "source one can be read again",
    ]


def test_sources_are_read_once_within_the_time_that_a_reading_is_kept() -> None:
    source, clock = Counting(), Clock()
    exporter = Exporter([Source("one", (), source)], clock)
    for now, expected in ((0.0, 1), (KEPT_SECONDS - 0.1, 1), (KEPT_SECONDS, 2), (KEPT_SECONDS + 1, 2)):
        clock.now = now
        exporter.collect()
        assert source.readings == expected


def test_sources_are_read_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=10)

    def meet() -> Mapping[MetricDefinition, Samples]:
        barrier.wait()
        return {}

    text = scrape(Exporter([Source(str(number), (), meet) for number in range(3)]))
    assert text.count("source_up{") == text.count("} 1.0\n") == 3


def test_names_follow_prometheus_conventions_and_are_given_once(project_settings: Settings) -> None:
    sources = sources_of(project_settings)
    metrics = [*EXPORTER_METRICS, *(metric for source in sources for metric in source.metrics)]
    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.name.startswith("recommender_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help.endswith(".")
        assert not set(metric.labels) & {"le", "quantile", "job_name", "instance"}


def test_the_server_answers_also_when_there_is_nothing_to_read_and_stops(
    project_settings: Settings, tmp_path: Path
) -> None:
    port = free_port(0)
    settings = msgspec.structs.replace(
        project_settings,
        storage=StorageSettings(root=str(tmp_path)),
        streaming=msgspec.structs.replace(project_settings.streaming, kafka_bootstrap_servers="127.0.0.1:9"),
        monitoring=MonitoringSettings(port=port, dagster_address="http://127.0.0.1:9"),
    )
    stop = threading.Event()
    server = threading.Thread(target=serve_metrics, args=(settings, stop))
    server.start()
    try:
        text = _get(f"http://127.0.0.1:{port}/metrics")
    finally:
        stop.set()
        server.join(10)
    assert not server.is_alive()
    for source, up in {"models": 1, "experiments": 1, "topic": 0, "dagster": 0}.items():
        assert f'recommender_exporter_source_up{{source="{source}"}} {up}.0' in text


def test_a_taken_port_is_named_with_its_setting(project_settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monitoring = MonitoringSettings(port=taken.getsockname()[1])
        with pytest.raises(OSError, match=r"monitoring\.port"):
            serve_metrics(msgspec.structs.replace(project_settings, monitoring=monitoring), threading.Event())


def _get(address: str) -> str:
    for _ in range(100):
        try:
            with urllib.request.urlopen(address, timeout=15) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            threading.Event().wait(0.05)
    raise AssertionError(f"no answer at {address}")
