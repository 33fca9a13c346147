"""The jars that Spark (Delta, Kafka source) and the local broker need, resolved once and pinned by SHA-256.

`python -m recommender_assets.local.jars` resolves what is missing; `--lock` writes the lock file anew.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import click

from recommender_assets.local.prerequisites import java_command

JAR_SETS = ("spark", "kafka")
JARS_DIRECTORY = Path(".local/jars")
LOCK_FILE = Path("requirements/jars.lock")
_IVY_FILES = Path(__file__).with_name("ivy")

Progress = Callable[[str, int, int], None]
"""Called with (jar set, steps done, steps in all): finding a jar and fetching it are one step each."""


class JarError(RuntimeError):
    """Jars could not be resolved, or are not the pinned ones."""


def read_lock(lock_file: Path = LOCK_FILE) -> dict[str, dict[str, str]]:
    """Pinned jars: set -> file name -> SHA-256, from lines `<sha256>  <set>/<file name>`.

    Raises:
        JarError: the file is missing or holds a line of another form.
    """
    if not lock_file.is_file():
        raise JarError(f"{lock_file} is missing; run this from the project's folder")
    pinned: dict[str, dict[str, str]] = {name: {} for name in JAR_SETS}
    for line in lock_file.read_text(encoding="utf-8").splitlines():
        digest, _, path = line.partition("  ")
        jar_set, _, name = path.partition("/")
        if jar_set not in pinned or len(digest) != 64 or not name:
            raise JarError(f"{lock_file}: expected '<sha256>  <{'|'.join(JAR_SETS)}>/<file>', got {line!r}")
        pinned[jar_set][name] = digest
    return pinned


def resolve_jars(
    directory: Path = JARS_DIRECTORY, lock_file: Path = LOCK_FILE, progress: Progress | None = None
) -> None:
    """Make `directory/<set>` hold exactly the pinned jars; touches no network when it already does.

    Raises:
        JarError: a jar could not be downloaded, or its SHA-256 is not the pinned one.
    """
    for jar_set, pinned in read_lock(lock_file).items():
        target = directory / jar_set
        if not differing_jars(target, pinned):
            continue
        resolved = _download(jar_set, directory, len(pinned), progress)
        differing = differing_jars(resolved, pinned)
        if differing:
            raise JarError(f"{jar_set} jars are not those of {lock_file}: {', '.join(differing)}")
        _replace(resolved, target)
    shutil.rmtree(directory / "ivy", ignore_errors=True)


def differing_jars(directory: Path, pinned: dict[str, str]) -> list[str]:
    """Names of jars that `directory` lacks, has too many, or has with another SHA-256; empty = all is well."""
    present = {path.name: path for path in directory.glob("*.jar")}
    names = sorted(present.keys() | pinned.keys())
    return [name for name in names if name not in present or _sha256(present[name]) != pinned.get(name)]


def write_lock(directory: Path = JARS_DIRECTORY, lock_file: Path = LOCK_FILE) -> None:
    """Resolve every set anew and pin what came."""
    lines = []
    for jar_set in JAR_SETS:
        resolved = _download(jar_set, directory, 0, None)
        lines += [f"{_sha256(path)}  {jar_set}/{path.name}" for path in sorted(resolved.glob("*.jar"))]
        _replace(resolved, directory / jar_set)
    shutil.rmtree(directory / "ivy", ignore_errors=True)
    lock_file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _download(jar_set: str, directory: Path, total: int, progress: Progress | None) -> Path:
    resolved = directory / f".{jar_set}.resolved"
    shutil.rmtree(resolved, ignore_errors=True)
    command = [
        *(java_command() or "java", "-XX:TieredStopAtLevel=1", "-jar", str(_bundled_ivy())),
        *("-settings", str(_IVY_FILES / "settings.xml"), "-ivy", str(_IVY_FILES / f"{jar_set}.xml")),
        *("-cache", str((directory / "ivy").absolute())),
        *("-types", "jar", "bundle"),
        *("-retrieve", f"{resolved.absolute()}/[artifact]-[revision](-[classifier]).[ext]"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output = _follow(process.stdout or (), jar_set, total, progress)
    if process.returncode != 0:
        raise JarError(f"resolving the {jar_set} jars failed (network needed once):\n" + "\n".join(output[-20:]))
    return resolved


def _follow(lines: Iterable[str], jar_set: str, total: int, progress: Progress | None) -> list[str]:
    output, done = [], 0
    for line in lines:
        output.append(line.rstrip())
        if progress is not None and line.strip().startswith(("found ", "[SUCCESSFUL ]")) and done < 2 * total:
            done += 1
            progress(jar_set, done, 2 * total)
    return output


def _bundled_ivy() -> Path:
    pyspark = find_spec("pyspark")
    if pyspark is None or pyspark.origin is None:
        raise JarError("pyspark is not installed; install the extra `assets`")
    found = sorted((Path(pyspark.origin).parent / "jars").glob("ivy-*.jar"))
    if not found:
        raise JarError("this pyspark installation has no ivy jar")
    return found[-1]


def _replace(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    source.rename(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _progress_line(jar_set: str, done: int, total: int) -> None:
    click.echo(f"\r{jar_set} jars: {done / total:4.0%}", nl=done == total, err=True)


@click.command()
@click.option("--lock", is_flag=True, help="Resolve anew and write the lock file.")
def main(*, lock: bool) -> None:
    """Resolve the pinned jars of Spark and of the local Kafka broker into .local/jars."""
    try:
        write_lock() if lock else resolve_jars(progress=_progress_line)
    except RuntimeError as error:
        sys.exit(str(error))
    click.echo(f"jars are in {JARS_DIRECTORY}/")


if __name__ == "__main__":
    main()
