"""The security pass of `make check`: secrets in tracked files, known vulnerabilities of the locked packages.

    python -m deploy.security.scan

What is accepted, and why, is in accepted.toml. Without a network the packages are not audited; the output says so.
"""

import datetime as dt
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
ACCEPTED = Path(__file__).with_name("accepted.toml")
LOCK = ROOT / "requirements" / "all.lock"
_AUDIT_SECONDS = 90
# Kinds of secrets with a form of their own, and values behind words like password. High entropy alone is no sign here:
# the lock files are full of hashes.
_DETECTORS = (
    "ArtifactoryDetector",
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "KeywordDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SlackDetector",
    "StripeDetector",
    "TwilioKeyDetector",
)
_FILTERS = tuple(
    f"detect_secrets.filters.heuristic.{name}"
    for name in ("is_indirect_reference", "is_prefixed_with_dollar_sign", "is_sequential_string", "is_templated_secret")
)
_NOT_READ = (".lock", ".png", ".svg", ".json")


class Secret(NamedTuple):
    """What looks like a secret."""

    path: str
    line: int
    kind: str
    value: str


class Vulnerability(NamedTuple):
    """A known vulnerability of a locked package."""

    package: str
    version: str
    id: str
    fixed_in: str


class AuditUnavailableError(RuntimeError):
    """The vulnerability service did not answer."""


def tracked_files(root: Path = ROOT) -> list[str]:
    """Paths of the repository's files, relative to its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.split("\0") if path and not path.endswith(_NOT_READ)]


def find_secrets(paths: Iterable[str], root: Path = ROOT) -> list[Secret]:
    """What looks like a secret in text files below `root`."""
    from detect_secrets.core.secrets_collection import SecretsCollection  # noqa: PLC0415 (a development package)
    from detect_secrets.settings import transient_settings  # noqa: PLC0415

    found = SecretsCollection(root=str(root))
    plugins, filters = [{"name": name} for name in _DETECTORS], [{"path": path} for path in _FILTERS]
    with transient_settings({"plugins_used": plugins, "filters_used": filters}):
        for path in paths:
            if (root / path).is_file():
                found.scan_file(path)
    return sorted(Secret(path, one.line_number, one.type, str(one.secret_value)) for path, one in found)


def find_vulnerabilities(lock: Path = LOCK) -> list[Vulnerability]:
    """Known vulnerabilities of the packages of a lock file.

    Raises:
        AuditUnavailableError: the service knew none of the packages, or did not answer.
    """
    options = ("--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off")
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_AUDIT_SECONDS)
        report = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        raise AuditUnavailableError(f"pip-audit gave no report: {error}") from error
    return list(vulnerabilities_of(report))


def vulnerabilities_of(report: Mapping[str, Any]) -> Iterator[Vulnerability]:
    """The vulnerabilities in a report of pip-audit.

    Raises:
        AuditUnavailableError: every package was skipped.
    """
    packages = report["dependencies"]
    if all("skip_reason" in package for package in packages):
        raise AuditUnavailableError("the vulnerability service knew none of the packages")
    for package in packages:
        for found in package.get("vulns", ()):
            fixed_in = ", ".join(found["fix_versions"]) or "no version yet"
            yield Vulnerability(package["name"], package["version"], found["id"], fixed_in)


def not_accepted(
    secrets: Iterable[Secret], vulnerabilities: Iterable[Vulnerability], accepted: Mapping[str, Any], today: dt.date
) -> list[str]:
    """A sentence for everything that `accepted` does not name, or not any more."""
    known_secrets = {(one["path"], one["value"]) for one in accepted.get("secret", ())}
    known = {(one["package"], one["id"]): one["until"] for one in accepted.get("vulnerability", ())}
    problems = [
        f"{one.path}:{one.line}: {one.kind}: looks like a secret"
        for one in secrets
        if (one.path, one.value) not in known_secrets
    ]
    return problems + [
        f"{one.package} {one.version}: {one.id}, fixed in {one.fixed_in}"
        for one in vulnerabilities
        if known.get((one.package, one.id), dt.date.min) < today
    ]


def main() -> int:
    """Look, print what is wrong, and return the exit status."""
    missing = [name for name in ("detect_secrets", "pip_audit") if find_spec(name) is None]
    if missing:
        sys.stdout.write(f"security: not looked at, {', '.join(missing)} not installed (make setup)\n")
        return 1 if os.environ.get("CI") else 0
    vulnerabilities: list[Vulnerability] = []
    try:
        vulnerabilities = find_vulnerabilities()
    except AuditUnavailableError as error:
        sys.stdout.write(f"security: packages were not audited: {error}\n")
    accepted = tomllib.loads(ACCEPTED.read_text(encoding="utf-8"))
    today = dt.datetime.now(dt.UTC).date()
    problems = not_accepted(find_secrets(tracked_files()), vulnerabilities, accepted, today)
    sys.stdout.writelines(f"security: {problem}\n" for problem in problems)
    if problems:
        sys.stdout.write(f"security: mend it, or accept it with a reason in {ACCEPTED.relative_to(ROOT)}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
