"""Dockerfiles read into stages, and carried out in a folder instead of in a container."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_PATHS = ("/opt", "/etc/recommender", "/var/lib/recommender", "/var/lib/dagster", "/build")


@dataclass
class Stage:
    """One `FROM` with what follows it.

    Attributes:
        image: what it starts from: an image, or the name of an earlier stage.
        name: after `AS`; "" = none.
        instructions: the rest as (keyword, argument), continued lines joined.
    """

    image: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all_of(self, keyword: str) -> list[str]:
        """The arguments of every instruction with this keyword."""
        return [argument for found, argument in self.instructions if found == keyword]

    def environment(self) -> dict[str, str]:
        """What its `ENV` instructions set."""
        return dict(re.findall(r"(\w+)=(\S+)", " ".join(self.all_of("ENV"))))

    def command(self) -> list[str]:
        """The words of its `CMD`, which is in exec form."""
        words: list[str] = json.loads(self.all_of("CMD")[-1])
        return words

    def health_command(self) -> list[str]:
        """The words of its `HEALTHCHECK ... CMD`, which is in exec form."""
        words: list[str] = json.loads(self.all_of("HEALTHCHECK")[-1].partition("CMD ")[2])
        return words


def read_dockerfile(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, in order."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        keyword, _, argument = line.strip().partition(" ")
        if keyword == "FROM":
            image, _, name = argument.partition(" AS ")
            stages.append(Stage(image, name))
        elif keyword:
            stages[-1].instructions.append((keyword, argument.strip()))
    return stages


@dataclass
class Folder:
    """A folder that stands for the file system of an image.

    Args:
        root: where the image's paths are, e.g. `/opt/x` at `root/opt/x`.
        context: what `docker build` would be given.
        programs: what comes from other images, by its path in the image, e.g. `/uv`.
    """

    root: Path
    context: Path
    programs: dict[str, Path]

    def place(self, text: str) -> str:
        """The text with the image's paths replaced by those below `root`, and programs by those of this machine."""
        for path, program in self.programs.items():
            text = re.sub(rf"(?<![\w/.]){re.escape(path)}(?![\w.])", str(program), text)
        return re.sub(rf"(?<![\w/.])(?=(?:{'|'.join(_PATHS)})(?![\w]))", str(self.root), text)

    def carry_out(self, stage: Stage, environ: dict[str, str]) -> dict[str, str]:
        """Do what the stage's COPY, WORKDIR and RUN say; returns the environment that its ENV leaves."""
        environ = environ | {name: self.place(value) for name, value in stage.environment().items()}
        working_directory = self.root
        for keyword, argument in stage.instructions:
            if keyword == "WORKDIR":
                working_directory = Path(self.place(argument))
                working_directory.mkdir(parents=True, exist_ok=True)
            elif keyword == "COPY":
                self._copy(argument.split(), working_directory)
            elif keyword == "RUN":
                command = self.place(re.sub(r"--mount=\S+ ", "", argument))
                done = subprocess.run(
                    ["sh", "-ec", command],
                    cwd=working_directory,
                    env=environ,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    raise RuntimeError(f"RUN {command}\n{done.stdout}{done.stderr}")
        return environ

    def _copy(self, words: list[str], working_directory: Path) -> None:
        origin = next((word.partition("=")[2] for word in words if word.startswith("--from=")), None)
        *sources, target = [word for word in words if not word.startswith("--")]
        destination = working_directory / self.place(target)
        for source in sources:
            if origin is not None and source in self.programs:
                continue
            path = Path(self.place(source)) if origin is not None else self.context / source
            into = destination / path.name if target.endswith("/") and not path.is_dir() else destination
            if path.is_dir():
                if path != into:
                    shutil.copytree(path, into, symlinks=True, dirs_exist_ok=True, ignore=_not_compiled)
            else:
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, into)


def _not_compiled(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]


def clean_environment(**more: str) -> dict[str, str]:
    """What a container inherits of this process: nothing but what finds the package index and its certificates."""
    kept = re.compile(r"(https?|no|all)_proxy|ssl_cert_\w+|uv_\w+|pip_\w+|home|path", re.IGNORECASE)
    return {name: value for name, value in os.environ.items() if kept.fullmatch(name)} | more
