import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from recommender_assets.settings import load_settings
from tests.dockerfile import read_dockerfile
from tests.tools import program

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
FILES = {name: DEPLOY / name for name in ("compose.yaml", "compose.prod.yaml")}
OURS = re.compile(r"recommender-(service|code-location|dagster):")
each_file = pytest.mark.parametrize("name", FILES)


def compose(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))
    return document


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose(name)["services"]
    return found


@each_file
def test_the_file_follows_the_schema_of_compose(name: str) -> None:
    check = program("check-jsonschema", "the package check-jsonschema (make setup)")
    command = [check, "--builtin-schema", "vendor.compose-spec", str(FILES[name])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_docker_itself_reads_the_files_where_it_is_installed(tmp_path: Path) -> None:
    try:
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("docker compose is not installed; the files are checked against the schema only")
    values = dict.fromkeys(re.findall(r"\$\{(\w+)", FILES["compose.prod.yaml"].read_text()), "/dev/null")
    (tmp_path / "env").write_text("".join(f"{key}={value}\n" for key, value in values.items()), encoding="utf-8")
    for path in FILES.values():
        command = ["docker", "compose", "--env-file", str(tmp_path / "env"), "--file", str(path), "config", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@each_file
def test_every_container_gives_up_its_privileges(name: str) -> None:
    for service, settings in services(name).items():
        assert settings["cap_drop"] == ["ALL"], service
        assert settings["security_opt"] == ["no-new-privileges:true"], service
        assert not {"privileged", "network_mode", "pid"} & settings.keys(), service
        assert settings.get("read_only") or settings["image"].startswith("apache/kafka"), service
        assert "docker.sock" not in str(settings.get("volumes")), service


@each_file
def test_images_are_of_named_versions(name: str) -> None:
    for service, settings in services(name).items():
        tag = settings["image"].rpartition(":")[2]
        assert re.match(r"v?\d+\.\d+", tag) or tag == "?}" or "VERSION" in settings["image"], service


@each_file
def test_what_a_service_waits_for_mounts_and_reads_exists(name: str) -> None:
    document = compose(name)
    for service, settings in document["services"].items():
        assert set(settings.get("depends_on", ())) <= document["services"].keys(), service
        assert set(settings.get("networks", ())) <= document.get("networks", {}).keys(), service
        assert set(settings.get("secrets", ())) <= document.get("secrets", {}).keys(), service
        for volume in settings.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in document["volumes"] or source.startswith("./"), volume
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), volume


@each_file
def test_a_waited_for_service_has_a_health_check(name: str) -> None:
    images = {
        path.stem: bool(read_dockerfile(path)[-1].health_command()) for path in (DEPLOY / "docker").glob("*.Dockerfile")
    }
    found = services(name)
    for settings in found.values():
        waits = settings.get("depends_on", {})
        for other, how in waits.items() if isinstance(waits, dict) else ():
            if how["condition"] == "service_healthy":
                ours = OURS.search(found[other]["image"].replace("${VERSION", ":"))
                assert "healthcheck" in found[other] or (ours and images[ours[1]]), other


@each_file
def test_the_settings_given_by_environment_are_valid(name: str) -> None:
    for service, settings in services(name).items():
        environ = settings.get("environment", {})
        ours = {key: str(value) for key, value in environ.items() if key.startswith("RECOMMENDER__ACCESS") is False}
        loaded = load_settings(ROOT / "config.yaml", ours)
        if "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS" in environ:
            hosts = [server.partition(":")[0] for server in loaded.streaming.kafka_bootstrap_servers.split(",")]
            assert set(hosts) <= services(name).keys(), service


@each_file
def test_only_one_container_writes_the_tables(name: str) -> None:
    replicas = {service: settings.get("deploy", {}).get("replicas", 1) for service, settings in services(name).items()}
    assert replicas["stream"] == replicas["daemon"] == replicas["code-location"] == 1
    assert services(name)["service"]["volumes"] == ["storage:/var/lib/recommender:ro"]


def test_profiles_start_parts_and_every_service_is_in_one() -> None:
    profiles = {profile for settings in services("compose.yaml").values() for profile in settings["profiles"]}
    assert profiles == {"core", "dagster", "serve", "monitoring"}


def test_development_listens_on_this_machine_only() -> None:
    for service, settings in services("compose.yaml").items():
        assert all(port.startswith("127.0.0.1:") for port in settings.get("ports", ())), service


def test_production_publishes_the_proxy_only_and_keeps_the_data_network_inside() -> None:
    found = services("compose.prod.yaml")
    assert [service for service, settings in found.items() if settings.get("ports")] == ["proxy"]
    networks = compose("compose.prod.yaml")["networks"]
    assert networks["data"] == {"internal": True}
    for service in ("kafka-0", "kafka-1", "kafka-2", "postgres", "object-store", "stream", "code-location"):
        assert found[service]["networks"] == ["data"], service


def test_production_has_limits_three_brokers_and_no_default_password() -> None:
    found = services("compose.prod.yaml")
    for service, settings in found.items():
        assert settings["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, service
    assert {f"kafka-{node}" for node in range(3)} <= found.keys()
    assert [found[f"kafka-{node}"]["environment"]["KAFKA_NODE_ID"] for node in range(3)] == [0, 1, 2]
    text = FILES["compose.prod.yaml"].read_text(encoding="utf-8")
    assert not re.findall(r"\$\{\w+:?-", text), "a variable has a default"
    variables = dict(re.findall(r"(\w*(?:PASSWORD|SECRET|ACCESS_KEY)\w*): (\S+)", text))
    assert all(value.startswith(("${", "/run/secrets/", "{file:")) for value in variables.values()), variables


def test_the_broker_promises_what_an_acknowledged_event_needs() -> None:
    environ = services("compose.prod.yaml")["kafka-0"]["environment"]
    assert (environ["KAFKA_DEFAULT_REPLICATION_FACTOR"], environ["KAFKA_MIN_INSYNC_REPLICAS"]) == (3, 2)
    assert environ["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert [voter.partition("@")[0] for voter in environ["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")] == [
        "0",
        "1",
        "2",
    ]


def test_the_proxy_leads_to_services_that_exist_and_asks_operators_for_a_login() -> None:
    text = (DEPLOY / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    found = services("compose.prod.yaml")
    targets = set(re.findall(r"reverse_proxy (\w+):(\d+)", text)) | {("service", "8000")}
    assert {name for name, _ in targets} == {"service", "webserver", "mlflow", "grafana"} & found.keys()
    assert set(re.findall(r"\{\$(\w+)\}", text)) == found["proxy"]["environment"].keys()
    sites = re.findall(r"^\{\$(\w+)_DOMAIN\} \{(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    protected = {name for name, body in sites if "import operators" in body}
    assert protected == {"DAGSTER", "MLFLOW"}  # Grafana and the service have logins of their own


@each_file
def test_prometheus_finds_what_it_scrapes(name: str) -> None:
    scrape = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {(host, config["port"]) for job in scrape for config in job["dns_sd_configs"] for host in config["names"]}
    settings = load_settings(ROOT / "config.yaml", {})
    ports = {"metrics": settings.monitoring.port, "stream": settings.monitoring.stream_port, "service": 8000}
    assert targets == set(ports.items())
    for service in ports.keys() & {"metrics", "stream"}:
        assert services(name)[service]["environment"]["RECOMMENDER__MONITORING__HOST"] == "0.0.0.0"
