"""The shipped configuration of Prometheus and Grafana, with one machine's addresses for containers' names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from recommender_assets.settings import Settings
from recommender_serving.engine.config import ApiSettings

PROMETHEUS = Path("prometheus") / "prometheus.yml"
DATASOURCES = Path("grafana") / "provisioning" / "datasources" / "prometheus.yml"
DASHBOARD_PROVIDER = Path("grafana") / "provisioning" / "dashboards" / "recommender.yml"


def local_targets(settings: Settings, api: ApiSettings) -> dict[str, str]:
    """Job of the scrape configuration -> host:port on this machine."""
    monitoring = settings.monitoring
    return {
        "recommender-service": f"{_reachable(api.host)}:{api.port}",
        "recommender-metrics": f"{_reachable(monitoring.host)}:{monitoring.port}",
        "recommender-stream": f"{_reachable(monitoring.host)}:{monitoring.stream_port}",
    }


def write_prometheus_configuration(deploy: Path, folder: Path, targets: Mapping[str, str]) -> Path:
    """Write `prometheus.yml` with the shipped rules and intervals, and other targets.

    Args:
        deploy: the project's folder `deploy`.
        folder: where to write.
        targets: job -> host:port; jobs that are not named are left out.

    Raises:
        FileNotFoundError: `deploy` holds no configuration.
    """
    shipped = _read(deploy / PROMETHEUS)
    rules = [str((deploy / PROMETHEUS).parent.absolute() / pattern) for pattern in shipped["rule_files"]]
    jobs = [
        {"job_name": job["job_name"], "static_configs": [{"targets": [targets[job["job_name"]]]}]}
        for job in shipped["scrape_configs"]
        if job["job_name"] in targets
    ]
    return _write(folder / PROMETHEUS.name, shipped | {"rule_files": rules, "scrape_configs": jobs})


def write_grafana_provisioning(deploy: Path, folder: Path, prometheus_port: int) -> Path:
    """Write data source and dashboards for Grafana's `GF_PATHS_PROVISIONING`; returns that folder.

    Raises:
        FileNotFoundError: `deploy` holds no configuration.
    """
    sources = _read(deploy / DATASOURCES)
    for source in sources["datasources"]:
        source["url"] = f"http://127.0.0.1:{prometheus_port}"
    providers = _read(deploy / DASHBOARD_PROVIDER)
    for provider in providers["providers"]:
        provider["options"]["path"] = str((deploy / "grafana" / "dashboards").absolute())
    _write(folder / DATASOURCES.parent.name / DATASOURCES.name, sources)
    _write(folder / DASHBOARD_PROVIDER.parent.name / DASHBOARD_PROVIDER.name, providers)
    return folder


def _reachable(host: str) -> str:
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - the address that listens everywhere


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def _write(path: Path, document: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False), encoding="utf-8")
    return path
