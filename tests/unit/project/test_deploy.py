from pathlib import Path

import yaml

from recommender_serving.settings import load_settings

ROOT = Path(__file__).parents[3]


def test_prometheus_scrapes_the_service_where_it_listens_by_default() -> None:
    scrape = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = scrape["scrape_configs"]
    api = load_settings(ROOT / "config.yaml", {}).api
    assert job["static_configs"] == [{"targets": [f"{api.host}:{api.port}"]}]
    assert job["metrics_path"] == "/metrics"
