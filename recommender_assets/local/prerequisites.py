"""Names what this machine lacks, each with the command that installs it.

Runs before anything is installed, as a file and with the standard library only.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping

JAVA_VERSION = 17
PACKAGE_MANAGERS = {
    "apt-get": "sudo apt-get install {apt}",
    "dnf": "sudo dnf install {dnf}",
    "pacman": "sudo pacman -S {pacman}",
    "apk": "sudo apk add {apk}",
    "brew": "brew install {brew}",
}
JAVA_PACKAGES = {
    "apt": "openjdk-17-jre-headless",
    "dnf": "java-17-openjdk-headless",
    "pacman": "jre17-openjdk-headless",
    "apk": "openjdk17-jre-headless",
    "brew": "openjdk@17",
}
VENV_PACKAGES = {
    "apt": "python3-venv",
    "dnf": "python3",
    "pacman": "python",
    "apk": "python3",
    "brew": "python",
}


def java_command(environ: Mapping[str, str] = os.environ) -> str | None:
    """Path of the `java` that Spark and Kafka will start: JAVA_HOME's if that is set, else the first on the PATH."""
    home = environ.get("JAVA_HOME")
    return shutil.which(os.path.join(home, "bin", "java")) if home else shutil.which("java")  # noqa: PTH118


def java_major_version(version_output: str) -> int | None:
    """Major version in the output of `java -version`: 17 for `17.0.15`, 8 for `1.8.0`; None if there is none."""
    match = re.search(r'version "(\d+)(?:\.(\d+))?', version_output)
    if match is None:
        return None
    major, minor = int(match[1]), int(match[2] or 0)
    return minor if major == 1 else major


def install_command(packages: Mapping[str, str]) -> str:
    """The command that installs a package with this machine's package manager."""
    for manager, template in PACKAGE_MANAGERS.items():
        if shutil.which(manager):
            return template.format(**packages)
    return f"install the package {packages['apt']} (or your system's name for it)"


def java_problem(environ: Mapping[str, str] = os.environ) -> str | None:
    """What is wrong with this machine's Java, with the command that mends it; None if Spark can run on it."""
    command = java_command(environ)
    if command is None:
        where = f"in JAVA_HOME ({environ['JAVA_HOME']})" if environ.get("JAVA_HOME") else "on the PATH"
        return f"Java {JAVA_VERSION} or newer is missing: no java {where}. Install it: {install_command(JAVA_PACKAGES)}"
    answer = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)
    version = java_major_version(answer.stderr + answer.stdout)
    if version is None or version < JAVA_VERSION:
        found = f"{command} is version {version}" if version else f"{command} does not tell its version"
        return f"Java {JAVA_VERSION} or newer is needed, {found}. Install it: {install_command(JAVA_PACKAGES)}"
    return None


def missing_prerequisites(environ: Mapping[str, str] = os.environ) -> list[str]:
    """One sentence for each thing that is missing, with the command that installs it."""
    problems = [java_problem(environ)]
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        problems.append(f"Python's venv module is missing. Install it: {install_command(VENV_PACKAGES)}")
    return [problem for problem in problems if problem]


def main() -> int:
    """Print what is missing to standard error; 0 if nothing is."""
    problems = missing_prerequisites()
    for problem in problems:
        sys.stderr.write(problem + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
