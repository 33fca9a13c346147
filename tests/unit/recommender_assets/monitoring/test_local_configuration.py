from pathlib import Path

import pytest
import yaml

from recommender_assets.monitoring.local_configuration import (
    local_targets,
    write_grafana_provisioning,
    write_prometheus_configuration,
)
from recommender_assets.settings import MonitoringSettings, Settings
from recommender_serving.engine.config import ApiSettings

DEPLOY = Path(__file__).parents[4] / "deploy"


def test_targets_are_where_the_configuration_says(project_settings: Settings) -> None:
    targets = local_targets(project_settings, ApiSettings(host="0.0.0.0", port=8001))
    assert targets == {
        "recommender-service": "127.0.0.1:8001",
        "recommender-metrics": f"127.0.0.1:{project_settings.monitoring.port}",
        "recommender-stream": f"127.0.0.1:{project_settings.monitoring.stream_port}",
    }


def test_every_job_of_the_shipped_configuration_has_a_local_target(project_settings: Settings) -> None:
    shipped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"] for job in shipped["scrape_configs"]}
    assert local_targets(project_settings, ApiSettings()).keys() == jobs


def test_shipped_ports_are_the_defaults(project_settings: Settings) -> None:
    shipped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    ports = [config["port"] for job in shipped["scrape_configs"] for config in job["dns_sd_configs"]]
    defaults = MonitoringSettings()
    assert ports == [ApiSettings().port, defaults.port, defaults.stream_port]
    assert project_settings.monitoring == defaults


def test_the_local_configuration_keeps_intervals_and_rules(tmp_path: Path) -> None:
    path = write_prometheus_configuration(DEPLOY, tmp_path, {"recommender-service": "127.0.0.1:1"})
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    shipped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    assert written["global"] == shipped["global"]
    assert written["scrape_configs"] == [
        {"job_name": "recommender-service", "static_configs": [{"targets": ["127.0.0.1:1"]}]}
    ]
    (pattern,) = map(Path, written["rule_files"])
    assert pattern.is_absolute()
    assert {path.name for path in pattern.parent.glob(pattern.name)} == {"alerts.yml", "recording.yml"}


def test_grafana_finds_prometheus_and_the_dashboards(tmp_path: Path) -> None:
    folder = write_grafana_provisioning(DEPLOY, tmp_path / "provisioning", 9191)
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    assert (source["type"], source["uid"], source["url"]) == ("prometheus", "prometheus", "http://127.0.0.1:9191")
    (provider,) = yaml.safe_load((folder / "dashboards" / "recommender.yml").read_text(encoding="utf-8"))["providers"]
    assert Path(provider["options"]["path"]) == (DEPLOY / "grafana" / "dashboards").absolute()


def test_a_folder_without_configuration_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"prometheus\.yml"):
        write_prometheus_configuration(tmp_path, tmp_path, {})
