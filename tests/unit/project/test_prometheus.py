"""The rules are right (promtool), complete (a test and a section of the runbook each) and name metrics that exist."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.metrics_table import sections
from recommender_assets.cli import main
from recommender_assets.monitoring.exporter import sources_of
from recommender_assets.settings import load_settings
from recommender_serving.champion import REASON_CODES
from recommender_serving.experiments import REFUSED
from tests.tools import program

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
SERIES = re.compile(r"\brecommender_\w+")


def rules() -> list[dict[str, Any]]:
    groups = (group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"])
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def series() -> set[str]:
    """Names of all series that the system can expose."""
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    metrics = [metric for of_place in sections().values() for metric in of_place]
    return {metric.name + suffix for metric in metrics for suffix in suffixes.get(metric.kind, ("",))}


def expected_alerts() -> list[tuple[str, bool]]:
    """Alerts that the tests of promtool evaluate, and whether they are to fire."""
    documents = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in TESTS)
    cases = (case for document in documents for test in document["tests"] for case in test["alert_rule_test"])
    return [(case["alertname"], bool(case.get("exp_alerts"))) for case in cases]


def test_prometheus_accepts_configuration_and_rules() -> None:
    promtool = program("promtool", "the package prometheus (apt-get install prometheus)")
    command = [promtool, "check", "config", str(PROMETHEUS / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_pass_their_tests(path: Path) -> None:
    promtool = program("promtool", "the package prometheus (apt-get install prometheus)")
    done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_fires_in_a_test_and_stays_silent_in_another(name: str) -> None:
    assert {fires for alert, fires in expected_alerts() if alert == name} == {True, False}


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_is_wrong_and_where_help_is(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    assert f"\n### {name}\n\n{alert['labels']['severity'].capitalize()}. " in RUNBOOK


def test_the_runbook_has_no_section_for_an_alert_that_does_not_exist() -> None:
    assert set(re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)) == set(ALERTS)


def test_links_and_commands_of_the_runbook_exist() -> None:
    headings = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", RUNBOOK, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", RUNBOOK)) <= headings
    named = set(re.findall(r"`recommender ([a-z-]+)|^recommender ([a-z-]+)", RUNBOOK, re.MULTILINE))
    assert {one or other for one, other in named} <= main.commands.keys()
    metrics = {metric.name for of_place in sections().values() for metric in of_place}
    assert set(SERIES.findall(RUNBOOK)) <= metrics | series()


def test_the_runbook_explains_every_reason_for_being_degraded_and_every_source() -> None:
    sources = [source.name for source in sources_of(load_settings(ROOT / "config.yaml", {}))]
    for name in {*REASON_CODES, REFUSED, *sources} - {"champion_refused"}:
        assert f"`{name}`" in RUNBOOK


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_name_metrics_and_recorded_series_that_exist(rule: dict[str, Any]) -> None:
    assert set(SERIES.findall(rule["expr"])) <= series()
    assert set(re.findall(r"recommender:[\w:]+", rule["expr"])) <= RECORDED


def test_what_is_recorded_is_used() -> None:
    used = {name for rule in rules() for name in re.findall(r"recommender:[\w:]+", rule["expr"])}
    shown = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy" / "grafana").rglob("*.json"))
    assert {name for name in RECORDED if name not in used and name not in shown} == set()
