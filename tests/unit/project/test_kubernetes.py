import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from recommender_assets.ingestion.spark_session import spark_conf
from recommender_assets.settings import load_settings
from recommender_serving.settings import load_settings as load_serving_settings
from tests.dockerfile import read_dockerfile
from tests.tools import missing

ROOT = Path(__file__).parents[3]
KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSION = "1.33.0"
NOT_RESOURCES = {"kustomization", "stream-on-kubernetes"}
# Files as they are, which can be read everywhere, and what Kustomize makes of them.
SOURCES = ("base", "overlays/prod", "dev rendered", "prod rendered")
NOT_READ_ONLY = {"kafka"}  # its image writes its configuration into the root file system

Resource = dict[str, Any]


@cache
def rendered(overlay: str) -> str:
    kustomize = shutil.which("kustomize")
    kubectl = shutil.which("kubectl")
    if kustomize is None and kubectl is None:
        pytest.skip("neither kubectl nor kustomize is installed; the files are checked one by one only")
    command = [kustomize, "build"] if kustomize else [str(kubectl), "kustomize"]
    folder = str(KUBERNETES / "overlays" / overlay)
    done = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def _documents(source: str) -> list[Resource]:
    if source.endswith(" rendered"):
        texts = [rendered(source.partition(" ")[0])]
    else:
        names = [path for path in sorted((KUBERNETES / source).glob("*.yaml")) if path.stem not in NOT_RESOURCES]
        texts = [path.read_text(encoding="utf-8") for path in names]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


each_source = pytest.mark.parametrize("source", SOURCES)


def documents(source: str) -> list[Resource]:
    return copy.deepcopy(_documents(source))


def pods(source: str) -> Iterator[tuple[str, Resource]]:
    for document in documents(source):
        if document["kind"] == "Pod":
            yield document["metadata"]["labels"]["app.kubernetes.io/name"], document["spec"]
        elif "template" in document.get("spec", {}):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def containers(pod: Resource) -> list[Resource]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def named(source: str, kind: str, name: str) -> Resource:
    (found,) = [one for one in documents(source) if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


@each_source
def test_resources_follow_the_schemas_of_kubernetes(source: str) -> None:
    try:
        from kubernetes_validate import validate
    except ImportError:
        missing("kubernetes-validate is missing; it comes with make setup")
    for document in documents(source):
        if document["kind"] == "Pod":
            continue  # a template, which Spark completes
        validate(document, VERSION, strict=True)


@each_source
def test_pods_run_as_an_ordinary_user_without_privileges(source: str) -> None:
    for name, pod in pods(source):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        assert not any("hostPath" in volume for volume in pod.get("volumes", ())), name
        for container in containers(pod):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert own.get("readOnlyRootFilesystem", False) is (name not in NOT_READ_ONLY), name


@each_source
def test_pods_carry_no_token_of_the_cluster_and_no_variables_named_after_services(source: str) -> None:
    """Kubernetes would set KAFKA_PORT, which Kafka's image takes for a setting."""
    for name, pod in pods(source):
        assert pod["enableServiceLinks"] is False, name
        may_start_pods = name == "stream" and pod.get("serviceAccountName") == "stream"
        assert pod["automountServiceAccountToken"] is may_start_pods, name


@each_source
def test_containers_have_requests_limits_and_an_image_of_a_named_version(source: str) -> None:
    for name, pod in pods(source):
        for container in containers(pod):
            if name == "stream-executor":
                continue  # Spark's settings say
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert container["resources"]["limits"].keys() == {"cpu", "memory"}, name
            assert re.search(r":v?\d+\.\d+", container["image"]), name


@each_source
def test_everything_that_runs_for_long_is_asked_for_its_health(source: str) -> None:
    for name, pod in pods(source):
        for container in pod["containers"]:
            if name != "stream-executor":
                assert "livenessProbe" in container, name
            if container.get("ports"):
                assert {"readinessProbe", "startupProbe"} <= container.keys(), name


@each_source
def test_secrets_are_referred_to_and_never_written_down(source: str) -> None:
    assert not [document for document in documents(source) if document["kind"] == "Secret"]
    for name, pod in pods(source):
        for container in containers(pod):
            for variable in container.get("env", ()):
                if re.search("PASSWORD|SECRET|CLUSTER_ID", variable["name"]):
                    assert "secretKeyRef" in variable["valueFrom"], name


@each_source
def test_mounts_have_volumes_and_volumes_have_claims(source: str) -> None:
    claims = {one["metadata"]["name"] for one in documents(source) if one["kind"] == "PersistentVolumeClaim"}
    templates = {
        one["metadata"]["name"]: {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", ())}
        for one in documents(source)
        if one["kind"] == "StatefulSet"
    }
    for name, pod in pods(source):
        volumes = {volume["name"] for volume in pod.get("volumes", ())} | templates.get(name, set())
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, name
        for volume in pod.get("volumes", ()):
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, name


@pytest.mark.parametrize("source", ["base", "dev rendered", "prod rendered"])
def test_services_select_pods_and_lead_to_their_ports(source: str) -> None:
    found = dict(pods(source))
    for service in (document for document in documents(source) if document["kind"] == "Service"):
        pod = found[service["spec"]["selector"]["app.kubernetes.io/name"]]
        ports = {port["name"] for container in pod["containers"] for port in container.get("ports", ())}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports or port["targetPort"] in {7078, 7079}, service["metadata"]["name"]


@each_source
def test_nothing_may_talk_to_anything_unless_a_policy_names_it(source: str) -> None:
    if source == "overlays/prod":
        return
    policies = [document for document in documents(source) if document["kind"] == "NetworkPolicy"]
    default = named(source, "NetworkPolicy", "deny-by-default")["spec"]
    assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    known = {name for name, _ in pods(source)} | {"stream-executor"}
    for policy in policies:
        for rule in policy["spec"].get("ingress", ()):
            for peer in rule["from"]:
                for expression in peer.get("podSelector", {}).get("matchExpressions", ()):
                    assert set(expression["values"]) <= known, policy["metadata"]["name"]


def test_one_pod_writes_the_tables_and_one_daemon_runs() -> None:
    assert named("base", "StatefulSet", "stream")["spec"]["replicas"] == 1
    for name in ("code-location", "daemon"):
        spec = named("base", "Deployment", name)["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    (mount,) = [
        mount
        for name, pod in pods("base")
        if name == "service"
        for mount in pod["containers"][0]["volumeMounts"]
        if mount["name"] == "storage"
    ]
    assert mount["readOnly"] is True


def test_a_replica_is_ready_when_it_has_a_model_and_alive_before() -> None:
    (container,) = named("base", "Deployment", "service")["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_ports_are_those_that_the_images_listen_on() -> None:
    for image in ("service", "code-location", "dagster"):
        (exposed,) = read_dockerfile(ROOT / "deploy" / "docker" / f"{image}.Dockerfile")[-1].all_of("EXPOSE")
        name = "webserver" if image == "dagster" else image
        (container,) = named("base", "Deployment", name)["spec"]["template"]["spec"]["containers"]
        assert [port["containerPort"] for port in container["ports"]] == [int(exposed)]


def test_both_ways_of_deploying_create_the_same_databases() -> None:
    shared = (KUBERNETES / "base" / "create-databases.sh").read_text(encoding="utf-8")
    assert shared == (ROOT / "deploy" / "postgres" / "create-databases.sh").read_text(encoding="utf-8")


def test_the_environment_of_pods_is_a_valid_configuration() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text(encoding="utf-8"))
    literals = dict(entry.split("=", 1) for entry in kustomization["configMapGenerator"][0]["literals"])
    ours = {name: value for name, value in literals.items() if name.startswith("RECOMMENDER__")}
    settings = load_settings(ROOT / "config.yaml", ours)
    assert settings.streaming == load_serving_settings(ROOT / "config.yaml", ours).streaming
    assert settings.streaming.partitions == 12


def test_the_stream_processor_starts_executors_on_kubernetes() -> None:
    patch = yaml.safe_load((KUBERNETES / "overlays/prod/stream-on-kubernetes.yaml").read_text(encoding="utf-8"))
    pod = patch["spec"]["template"]["spec"]
    environ = {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}
    jars = ROOT / ".local" / "jars" / "spark"
    conf = spark_conf(
        load_settings(
            ROOT / "deploy" / "spark" / "config.yaml", environ | {"RECOMMENDER__SPARK__JARS_DIRECTORY": str(jars)}
        )
    )
    assert conf["spark.master"].startswith("k8s://")
    executor = yaml.safe_load((KUBERNETES / "overlays/prod/executor.yaml").read_text(encoding="utf-8"))
    assert executor["metadata"]["labels"]["app.kubernetes.io/name"] == "stream-executor"
    assert Path(conf["spark.kubernetes.executor.podTemplateFile"]).name == "executor.yaml"
    service = named("base", "Service", "stream")["spec"]
    assert {str(port["port"]) for port in service["ports"]} == {
        conf["spark.driver.port"],
        conf["spark.blockManager.port"],
    }
    claim = "spark.kubernetes.executor.volumes.persistentVolumeClaim.storage"
    image = read_dockerfile(ROOT / "deploy" / "docker" / "code-location.Dockerfile")[-1].environment()
    assert conf[f"{claim}.mount.path"] == image["RECOMMENDER__STORAGE__ROOT"]


def test_the_entry_point_becomes_an_executor_of_spark(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    java.chmod(0o755)
    names = ["DRIVER_URL", "EXECUTOR_ID", "EXECUTOR_CORES", "APPLICATION_ID", "EXECUTOR_POD_IP", "RESOURCE_PROFILE_ID"]
    environ = {f"SPARK_{name}": f"the {name}" for name in [*names, "EXECUTOR_POD_NAME"]} | {
        "SPARK_EXECUTOR_MEMORY": "6g",
        "JAVA_HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    options = {f"SPARK_JAVA_OPT_{number}": f"-Dnumber={number}" for number in range(11)}
    entry = str(ROOT / "deploy" / "docker" / "entrypoint.sh")
    done = subprocess.run([entry, "executor"], env=environ | options, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    assert words[:11] == [f"-Dnumber={number}" for number in range(11)]
    assert words[11:13] == ["-Xms6g", "-Xmx6g"]
    assert (Path(words[14].removesuffix("/*")) / "spark-kubernetes_2.13-4.2.0.jar").is_file()
    assert words[16:] == [
        *("--driver-url", "the DRIVER_URL", "--executor-id", "the EXECUTOR_ID", "--cores", "the EXECUTOR_CORES"),
        *("--app-id", "the APPLICATION_ID", "--hostname", "the EXECUTOR_POD_IP"),
        *("--resourceProfileId", "the RESOURCE_PROFILE_ID", "--podName", "the EXECUTOR_POD_NAME"),
    ]
    other = subprocess.run([entry, "echo", "a b"], env=environ, capture_output=True, text=True, check=True)
    assert other.stdout == "a b\n"


def test_every_file_is_part_of_a_kustomization() -> None:
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        text = kustomization.read_text(encoding="utf-8")
        for path in kustomization.parent.iterdir():
            assert path == kustomization or path.name in text, path


@each_source
def test_nothing_runs_by_a_clock_outside_dagster(source: str) -> None:
    assert not {"CronJob", "Job"} & {document["kind"] for document in documents(source)}
