import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from recommender_assets.cli import main

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(PROJECT)
    monkeypatch.delenv("RECOMMENDER_CONFIG", raising=False)
    return CliRunner()


def test_help_lists_every_command_with_a_sentence(runner: CliRunner) -> None:
    result = runner.invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, command in main.commands.items():
        assert name in result.output
        assert command.get_short_help_str().strip()


@pytest.mark.parametrize("name", list(main.commands))
def test_every_command_explains_itself(runner: CliRunner, name: str) -> None:
    result = runner.invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_a_configuration_error_is_one_message_without_a_traceback(runner: CliRunner) -> None:
    result = runner.invoke(main, ["doctor"], env={"RECOMMENDER__MODELS__SVD__FACTERS": "3"})
    assert result.exit_code == 1
    assert "models.svd.facters: unknown key" in result.output
    assert "Traceback" not in result.output


def test_an_expected_failure_is_one_message_without_a_traceback(runner: CliRunner, tmp_path: Path) -> None:
    environ = {
        "RECOMMENDER__STORAGE__ROOT": str(tmp_path),
        "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    }
    result = runner.invoke(main, ["accept-topic"], env=environ)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_a_rate_must_be_positive(runner: CliRunner) -> None:
    result = runner.invoke(main, ["replay", "--rate", "0"])
    assert result.exit_code == 2
    assert "rate" in result.output


def test_help_needs_neither_spark_nor_dagster_nor_mlflow() -> None:
    probe = (
        "import sys, recommender_assets.cli; print([m for m in ('pyspark', 'dagster', 'mlflow') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_maintain_says_what_is_due(runner: CliRunner, tmp_path: Path) -> None:
    done = runner.invoke(main, ["maintain", "--dry-run"], env={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})
    assert done.exit_code == 0, done.output
    assert "0 users forgotten" in done.output
    assert "interactions: 0 files merged into 0, 0 old files removed" in done.output
