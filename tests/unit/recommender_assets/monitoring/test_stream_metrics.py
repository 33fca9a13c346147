import socket
import urllib.request

from prometheus_client import generate_latest

from recommender_assets.ingestion.commits import LedgerRow
from recommender_assets.ingestion.streaming_query import BatchReport
from recommender_assets.local.broker import free_port
from recommender_assets.monitoring.stream_metrics import StreamMetrics
from recommender_assets.settings import MonitoringSettings

BATCH = BatchReport([LedgerRow(0, 0, 9, 5, 3, 1), LedgerRow(1, 0, 2, 2)], seconds=2.5)


def test_a_batch_counts_with_its_time_and_its_records() -> None:
    metrics = StreamMetrics()
    metrics.observe(BATCH)
    text = generate_latest(metrics.registry).decode()
    assert "recommender_stream_batch_duration_seconds_sum 2.5" in text
    assert 'recommender_stream_batch_duration_seconds_bucket{le="2.0"} 0.0' in text
    assert 'recommender_stream_batch_duration_seconds_bucket{le="3.0"} 1.0' in text
    for result, count in {"accepted": 7, "duplicate": 3, "rejected": 1}.items():
        assert f'recommender_stream_records_total{{result="{result}"}} {count}.0' in text


def test_it_is_scraped_while_the_stream_runs() -> None:
    metrics, port = StreamMetrics(), free_port(0)
    metrics.observe(BATCH)
    assert metrics.serve(MonitoringSettings(stream_port=port)) == f"metrics at http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert "recommender_stream_batch_duration_seconds_count 1.0" in answer.read().decode()


def test_ingestion_goes_on_when_the_port_is_taken_or_switched_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = StreamMetrics().serve(MonitoringSettings(stream_port=port))
    assert f"no metrics are served at 127.0.0.1:{port} (monitoring.host, monitoring.stream_port)" in said
    assert "stream_port is 0" in StreamMetrics().serve(MonitoringSettings(stream_port=0))
