"""What the Dockerfile of the service says, carried out in a folder: installed from the lock, started, asked."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recommender_assets.local.broker import free_port
from tests.dockerfile import Folder, Stage, clean_environment, read_dockerfile
from tests.factories import make_model
from tests.unit.recommender_serving.service import Service

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "service.Dockerfile"


@dataclass
class Image:
    """The image as a folder, its last stage, and the environment of its processes."""

    folder: Folder
    final: Stage
    environ: dict[str, str]

    def words(self, command: list[str]) -> list[str]:
        program, *arguments = (self.folder.place(word) for word in command)
        return [program if "/" in program else str(self.folder.root / "opt/recommender/bin" / program), *arguments]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    _, build, final = read_dockerfile(DOCKERFILE)
    uv = Path(sys.executable).with_name("uv")
    programs = {
        "/uv": uv,
        "/usr/local/bin/uv": uv,
        "/usr/local/bin/python3.11": Path(sys.executable).resolve(),
        "/root/.cache/uv": Path.home() / ".cache" / "uv",
    }
    folder = Folder(tmp_path_factory.mktemp("image"), ROOT, programs)
    environ = clean_environment(PATH=f"{uv.parent}:/usr/local/bin:/usr/bin:/bin")
    try:
        folder.carry_out(build, environ | {"UV_OFFLINE": "1"})  # what `make setup` has fetched is enough
    except RuntimeError as error:
        if not (os.environ.get("CI") or os.environ.get("CHECK_IMAGES")):
            pytest.skip(f"packages of the image are not in uv's cache, `make check-images` fetches them: {error}")
        folder.carry_out(build, environ)
    return Image(folder, final, folder.carry_out(final, {}))


@pytest.fixture(scope="module")
def address(image: Image) -> Iterator[str]:
    """Address of the service, started by the image's CMD with nothing but the image's environment."""
    Service(image.folder.root / "var/lib/recommender").publish(make_model(n_users=6, n_items=40))
    port = str(free_port(0))
    image.environ["RECOMMENDER__API__PORT"] = port
    log = image.folder.root / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            image.words(image.final.command()), cwd=image.folder.root, env=image.environ, stdout=output, stderr=output
        )
    try:
        for _ in range(200):
            if is_healthy(image):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(20) in {0, -signal.SIGTERM}, log.read_text()  # uvicorn ends orderly, then by the signal


def is_healthy(image: Image) -> bool:
    command = image.words(image.final.health_command())
    return subprocess.run(command, env=image.environ, capture_output=True, check=False).returncode == 0


def test_the_started_image_is_healthy_and_answers(image: Image, address: str) -> None:
    assert is_healthy(image)
    with urllib.request.urlopen(f"{address}/health/live") as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{address}/schema") as answer:
        assert b'"Recommender"' in answer.read()


def test_an_image_that_does_not_serve_is_unhealthy(image: Image) -> None:
    elsewhere = Image(image.folder, image.final, image.environ | {"RECOMMENDER__API__PORT": str(free_port(0))})
    assert not is_healthy(elsewhere)


def test_the_image_holds_the_locked_packages_and_nothing_else(image: Image) -> None:
    packages = image.folder.root / "opt/recommender/lib/python3.11/site-packages"
    installed = {path.name.rpartition("-")[0] for path in packages.glob("*.dist-info")}
    locked = {
        line.partition("==")[0].replace("-", "_")
        for line in (ROOT / "requirements" / "serving.lock").read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith((" ", "#")) and "win32" not in line
    }
    assert {name.partition("-")[0].lower().replace(".", "_") for name in installed} <= locked | {"recommender"}
    assert (packages / "recommender_serving" / "page" / "index.html").is_file()
    assert not (packages / "recommender_assets").exists()
    assert not list((image.folder.root / "opt/recommender/bin").glob("pip*"))
