import socket
from pathlib import Path

import msgspec
import pytest

from recommender_assets.local.broker import free_port
from recommender_assets.monitoring import monitor
from recommender_assets.monitoring.monitor import MonitorError, run_monitor
from recommender_assets.settings import MonitoringSettings, Settings
from recommender_serving.engine.config import ApiSettings


@pytest.fixture
def settings(project_settings: Settings) -> Settings:
    ports = MonitoringSettings(port=free_port(0), prometheus_port=free_port(0), grafana_port=free_port(0))
    return msgspec.structs.replace(project_settings, monitoring=ports)


def never(_: object) -> None:
    raise AssertionError("nothing was to be started")


def test_without_prometheus_the_message_says_how_to_install_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    with pytest.raises(MonitorError, match="Install it: sudo apt-get install prometheus"):
        run_monitor(settings, ApiSettings(), never)


def test_a_taken_port_is_named_with_its_setting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor.shutil, "which", lambda _: "/bin/true")
    monkeypatch.setattr(monitor, "DEPLOY", Path(__file__).parent)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = msgspec.structs.replace(settings.monitoring, prometheus_port=port)
        message = rf"port {port} is taken .* set monitoring\.prometheus_port, e\.g\. RECOMMENDER__MONITORING__"
        with pytest.raises(MonitorError, match=message):
            run_monitor(msgspec.structs.replace(settings, monitoring=ports), ApiSettings(), never)


def test_elsewhere_than_in_the_projects_folder_the_message_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(monitor.shutil, "which", lambda _: "/bin/true")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MonitorError, match="run this in the project's folder"):
        run_monitor(settings, ApiSettings(), never)
