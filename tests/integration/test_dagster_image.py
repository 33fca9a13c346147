"""Webserver and daemon as their Dockerfile installs them, the code location's command, PostgreSQL: a run through all.

Too slow for every test run (it installs and starts four programs): `make check-images`.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from recommender_assets.ingestion.tables import create_tables, read_table
from recommender_assets.local.broker import free_port
from tests.dockerfile import Folder, clean_environment, read_dockerfile
from tests.postgres import DAGSTER_PASSWORD, Postgres

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
BIN = Path(sys.executable).parent
pytestmark = [
    pytest.mark.skipif(not os.environ.get("CHECK_IMAGES"), reason="too slow for every run: `make check-images`"),
]
LAUNCH = """
mutation {
  launchPipelineExecution(executionParams: {mode: "default", selector: {
    repositoryLocationName: "recommender_assets", repositoryName: "__repository__", jobName: "__ASSET_JOB",
    assetSelection: [{path: ["items"]}]}}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, log: Path, command: list[str], environ: dict[str, str], folder: Path) -> None:
    """Start a process in the background; it ends with the stack."""
    output = stack.enter_context(log.open("wb"))

    def as_in_a_container() -> None:
        # Dagster does with SIGTERM what it would do with SIGINT, which shells let their background jobs ignore.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        stdout=output,
        stderr=output,
        preexec_fn=as_in_a_container,  # noqa: PLW1509 (there are no threads)
    )
    stack.callback(process.wait, 60)
    stack.callback(process.terminate)


def wait(condition: Callable[[], bool], folder: Path, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            logs = [f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in folder.glob("*.log")]
            pytest.fail("\n".join(logs))
        time.sleep(0.5)


def succeeds(command: list[str], environ: dict[str, str]) -> bool:
    return subprocess.run(command, env=environ, capture_output=True, check=False).returncode == 0


def test_a_run_goes_from_webserver_and_daemon_to_the_code_location(
    stack: ExitStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("dagster")
    postgres = stack.enter_context(Postgres())
    uv = BIN / "uv"
    programs = {
        "/uv": uv,
        "/usr/local/bin/uv": uv,
        "/usr/local/bin/python3.11": Path(sys.executable).resolve(),
        "/root/.cache/uv": Path.home() / ".cache" / "uv",
    }
    folder = Folder(root, ROOT, programs)
    _, build, final = read_dockerfile(DOCKER / "dagster.Dockerfile")
    folder.carry_out(build, clean_environment(PATH=f"{BIN}:/usr/local/bin:/usr/bin:/bin"))
    ports = {"4000": str(free_port(0)), "3001": str(free_port(0))}
    environ = folder.carry_out(final, {}) | {
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(postgres.port),
        "DAGSTER_POSTGRES_DB": "dagster",
        "DAGSTER_POSTGRES_USER": "dagster",
        "DAGSTER_POSTGRES_PASSWORD": DAGSTER_PASSWORD,
    }
    workspace = root / "opt/dagster/workspace.yaml"
    text = workspace.read_text(encoding="utf-8")
    workspace.write_text(text.replace("code-location", "127.0.0.1").replace("4000", ports["4000"]), encoding="utf-8")

    def words(command: list[str], folder_of_programs: Path) -> list[str]:
        placed = [folder.place(ports.get(word, word).replace("0.0.0.0", "127.0.0.1")) for word in command]
        placed = [word.replace(":3001/", f":{ports['3001']}/") for word in placed]
        return [placed[0] if "/" in placed[0] else str(folder_of_programs / placed[0]), *placed[1:]]

    storage = root / "var/lib/recommender"
    create_tables(storage)
    *_, code = read_dockerfile(DOCKER / "code-location.Dockerfile")
    code_environ = environ | {name: folder.place(value) for name, value in code.environment().items()}
    code_environ |= {"RECOMMENDER_CONFIG": str(ROOT / "config.yaml"), "PATH": f"{BIN}:/usr/bin:/bin"}
    code_environ["PYTHONPATH"] = str(ROOT)
    start(stack, root / "code.log", words(code.command(), BIN), code_environ, storage)
    wait(lambda: succeeds(words(code.health_command(), BIN), code_environ), root)

    installed = root / "opt/dagster-webserver/bin"
    start(stack, root / "webserver.log", words(final.command(), installed), environ, root)
    daemon = ["dagster-daemon", "run", "--workspace", "/opt/dagster/workspace.yaml"]
    start(stack, root / "daemon.log", words(daemon, installed), environ, root)
    wait(lambda: succeeds(words(final.health_command(), installed), environ), root)
    wait(lambda: succeeds(words(["dagster-daemon", "liveness-check"], installed), environ), root)

    graphql = f"http://127.0.0.1:{ports['3001']}/graphql"
    answer = httpx.post(graphql, json={"query": LAUNCH}, timeout=60).json()["data"]["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    query = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
    asked = {"query": query, "variables": {"run": answer["run"]["runId"]}}

    def status() -> str:
        return str(httpx.post(graphql, json=asked, timeout=60).json()["data"]["runOrError"]["status"])

    wait(lambda: status() in {"SUCCESS", "FAILURE"}, root)
    assert status() == "SUCCESS", (root / "code.log").read_text(encoding="utf-8")
    assert read_table(storage, "items").num_rows == 9_066
    assert not (installed / "recommender").exists()
    shutil.rmtree(root / "opt", ignore_errors=True)
