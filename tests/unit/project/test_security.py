import datetime as dt
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy.security import scan
from deploy.security.scan import AuditUnavailableError, Secret, Vulnerability, not_accepted, vulnerabilities_of
from tests.tools import missing

ROOT = Path(__file__).parents[3]
TODAY = dt.date(2026, 1, 15)
ACCEPTED = tomllib.loads(scan.ACCEPTED.read_text(encoding="utf-8"))


def require(package: str) -> None:
    if find_spec(package) is None:
        missing(f"{package} is missing; it comes with make setup")


def test_a_planted_secret_is_found_and_an_accepted_one_is_not_named(tmp_path: Path) -> None:
    require("detect_secrets")
    key, name = "AKIA" + "IOSFODNN7RECOMND", "pass" + "word"  # in pieces, for this file is looked at, too
    text = f'region = "eu"\nkey_id = "{key}"\n{name} = "hunter2"\n'
    (tmp_path / "settings.py").write_text(text, encoding="utf-8")
    (tmp_path / "harmless.py").write_text('password = os.environ["PASSWORD"]\n', encoding="utf-8")
    found = scan.find_secrets(["settings.py", "harmless.py", "deleted.py"], tmp_path)
    assert {(one.line, one.kind) for one in found} >= {(2, "AWS Access Key"), (3, "Secret Keyword")}
    assert {one.path for one in found} == {"settings.py"}
    problems = not_accepted(found, [], {"secret": [{"path": "settings.py", "value": "hunter2"}]}, TODAY)
    assert problems == ["settings.py:2: AWS Access Key: looks like a secret"]


def test_what_is_accepted_is_still_there_and_has_a_reason() -> None:
    for entry in ACCEPTED.get("secret", ()):
        assert len(entry["reason"]) > 10, entry
        assert entry["value"] in (ROOT / entry["path"]).read_text(encoding="utf-8"), entry
    for entry in ACCEPTED.get("vulnerability", ()):
        assert len(entry["reason"]) > 10, entry
        assert isinstance(entry["until"], dt.date), entry


def test_only_text_that_is_tracked_is_looked_at(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    for name in ("a.py", "b.lock", "with space.md", "untracked.py"):
        (tmp_path / name).touch()
    subprocess.run(["git", "add", "a.py", "b.lock", "with space.md"], cwd=tmp_path, check=True)
    assert scan.tracked_files(tmp_path) == ["a.py", "with space.md"]


def test_a_vulnerability_is_named_with_the_version_that_mends_it_unless_it_is_accepted_for_now() -> None:
    report = {
        "dependencies": [
            {"name": "fine", "version": "1.0", "vulns": []},
            {"name": "unknown", "skip_reason": "not on the index"},
            {"name": "bad", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]},
            {"name": "worse", "version": "3.0", "vulns": [{"id": "CVE-2", "fix_versions": []}]},
        ]
    }
    found = list(vulnerabilities_of(report))
    assert found == [
        Vulnerability("bad", "2.0", "CVE-1", "2.1"),
        Vulnerability("worse", "3.0", "CVE-2", "no version yet"),
    ]
    bad, worse = "bad 2.0: CVE-1, fixed in 2.1", "worse 3.0: CVE-2, fixed in no version yet"
    assert not_accepted([], found, {}, TODAY) == [bad, worse]
    for until, named in ((TODAY, [worse]), (TODAY - dt.timedelta(days=1), [bad, worse])):
        accepted = {"vulnerability": [{"package": "bad", "id": "CVE-1", "until": until}]}
        assert not_accepted([], found, accepted, TODAY) == named


def test_an_audit_that_knew_nothing_is_no_clean_bill() -> None:
    with pytest.raises(AuditUnavailableError, match="none of the packages"):
        list(vulnerabilities_of({"dependencies": [{"name": "a", "skip_reason": "no network"}]}))


def test_the_pass_goes_on_without_a_network_and_fails_on_a_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable() -> list[Vulnerability]:
        raise AuditUnavailableError("no network")

    monkeypatch.setattr(scan, "find_spec", lambda _: object())
    monkeypatch.setattr(scan, "find_vulnerabilities", unavailable)
    monkeypatch.setattr(scan, "find_secrets", lambda _: [])
    assert scan.main() == 0
    assert "packages were not audited: no network" in capsys.readouterr().out
    monkeypatch.setattr(scan, "find_secrets", lambda _: [Secret("a.py", 3, "Private Key", "x")])
    assert scan.main() == 1
    assert "a.py:3: Private Key: looks like a secret" in capsys.readouterr().out


def test_missing_programs_are_named_and_fail_in_continuous_integration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scan, "find_spec", lambda _: None)
    monkeypatch.delenv("CI", raising=False)
    assert scan.main() == 0
    assert "detect_secrets, pip_audit not installed" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert scan.main() == 1
