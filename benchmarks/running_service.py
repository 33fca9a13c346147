"""The service, or a peer, as a process of its own, and how to load it from another one."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil

from benchmarks.load_generator import Job, Summary
from recommender_serving.access.keys import new_key

PROJECT = Path(__file__).parents[1]
NOBODY = "127.0.0.1:9"  # no Kafka there: the service serves without it


@dataclass
class Service:
    """A running process that speaks HTTP."""

    port: int
    process: psutil.Process
    headers: dict[str, str]

    def load(self, paths: list[str], **job: Any) -> Summary:
        """Load the service from another process; arguments as in `Job`."""
        with self.start_load(paths, **job) as generator:
            return finished(generator)

    def start_load(self, paths: list[str], **job: Any) -> "subprocess.Popen[bytes]":
        """Start loading the service; `finished` waits for the summary."""
        command = [sys.executable, "-m", "benchmarks.load_generator"]
        generator = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT)
        assert generator.stdin is not None
        generator.stdin.write(msgspec.json.encode(Job(port=self.port, paths=paths, headers=self.headers, **job)))
        generator.stdin.close()
        return generator

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers=self.headers)
        return json.loads(connection.getresponse().read())

    @property
    def resident_mib(self) -> float:
        """Resident memory."""
        return round(self.process.memory_info().rss / 2**20, 1)


def finished(generator: "subprocess.Popen[bytes]") -> Summary:
    """The summary of a load that ends."""
    assert generator.stdout is not None
    summary = msgspec.json.decode(generator.stdout.read(), type=Summary)
    generator.wait()
    return summary


@contextmanager
def running_service(
    root: Path, bootstrap: str = NOBODY, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """`python -m recommender_serving` on a free port with an API key, ready to answer."""
    key, entry = _key()
    environment = {
        "RECOMMENDER__STORAGE__ROOT": str(root),
        "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "RECOMMENDER__ACCESS__KEYS": entry,
        "RECOMMENDER__LOGGING__LEVEL": "error",
        **(settings or {}),
    }
    command = ["-m", "recommender_serving", "--config", str(PROJECT / "config.yaml")]
    with running(command, environment, "/health/ready", {"Authorization": f"Bearer {key}"}) as service:
        yield service


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], ready_path: str, headers: dict[str, str]
) -> Iterator[Service]:
    """A Python program that listens on the port in RECOMMENDER__API__PORT."""
    port = _free_port()
    environment = {**os.environ, **environment, "RECOMMENDER__API__PORT": str(port)}
    process = subprocess.Popen([sys.executable, *command], env=environment, cwd=PROJECT)
    try:
        _wait_until_ready(port, process, ready_path)
        yield Service(port, psutil.Process(process.pid), headers)
    finally:
        process.terminate()
        process.wait(20)


def _key() -> tuple[str, str]:
    """A key, and the setting that knows it."""
    key, digest = new_key()
    entry = {"name": "benchmark", "sha256": digest, "scopes": ["read", "write"]}
    return key, json.dumps([entry])


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]", path: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the service did not become ready")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
