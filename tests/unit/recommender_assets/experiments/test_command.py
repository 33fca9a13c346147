import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recommender_assets.cli import main
from recommender_assets.experiments.attribution import DAY_US
from recommender_assets.experiments.records import read_ending, read_plan
from recommender_assets.ingestion.tables import create_tables
from recommender_serving.engine.champion_pointer import ChampionPointer, write_pointer
from recommender_serving.engine.running_experiments import read_running
from tests.unit.recommender_assets.experiments.logged_tables import write_traffic

PROJECT = Path(__file__).parents[4]
NOW_US = time.time_ns() // 1_000
Command = Callable[..., Result]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    deployed = {"svd": "svd-1", "nmf": "nmf-1"}
    write_pointer(tmp_path, ChampionPointer(version="svd-1", predecessor=None, deployed=deployed, promoted_at="now"))
    return tmp_path


@pytest.fixture
def command(root: Path, settings_at: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `recommender experiment --experiment_name new_algorithm_test` with further flags."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.delenv("RECOMMENDER_CONFIG", raising=False)
    environ = {
        "RECOMMENDER__STORAGE__ROOT": str(root),
        "RECOMMENDER__MLFLOW__TRACKING_URI": settings_at(root).mlflow.tracking_uri,
    }

    def run(*flags: str, name: str = "new_algorithm_test") -> Result:
        return CliRunner().invoke(main, ["experiment", "--experiment_name", name, *flags], env=environ)

    return run


def observed(root: Path, rate: float = 0.1) -> None:
    write_traffic(root, {None: rate}, NOW_US - 4 * DAY_US, users=2_000, days=4, experiment=None)


def test_a_plan_needs_nothing_but_what_was_observed(command: Command, root: Path) -> None:
    observed(root)
    lines = dict(line.split("  ", 1) for line in command("--plan", "--duration_days", "10").output.splitlines())
    assert lines["observed"].strip().startswith("ctr 0.1")
    assert int(lines["users per day"]) in {499, 500}  # a first user may be older than four days by now
    assert int(lines["users per arm"].split()[0].replace(",", "")) == pytest.approx(6_700, rel=0.15)
    assert int(lines["days needed"]) == pytest.approx(27, abs=4)
    assert "within 10 days" in lines["detectable"]
    assert not read_running(root)


def test_an_experiment_is_started_analysed_and_stopped(command: Command, root: Path) -> None:
    observed(root)
    flags = ("--min_effect_size", "0.2")
    assert "runs for 100% of the users" in command("--start", *flags).output
    plan = read_plan(root, "new_algorithm_test")
    assert plan.definition.min_effect_size == 0.2
    write_traffic(root, {"control": 0.1, "treatment": 0.6}, plan.started_us, users=300, experiment="new_algorithm_test")
    shown = command().output
    assert "ctr of treatment" in shown
    assert "Treatment is better than control" in shown
    assert "logged" in shown
    plot = Path(shown.rpartition("plot: ")[2].strip())
    assert plot.read_bytes().startswith(b"\x89PNG")
    answer = json.loads(command("--json").stdout.splitlines()[-1])
    assert answer["results"][0]["decision"] == "treatment"
    assert answer["experiment"]["users_per_arm"] == plan.users_per_arm
    assert "stopped" in command("--stop").output
    ending = read_ending(root, "new_algorithm_test")
    assert ending is not None
    assert ending.reason == "stopped by hand"
    again = command("--start", *flags)
    assert again.exit_code == 1
    assert "was run before" in again.output


def test_a_definition_that_changed_meanwhile_is_refused(command: Command, root: Path) -> None:
    observed(root)
    assert command("--start").exit_code == 0
    changed = command("--start", "--metric", "conversion")
    assert changed.exit_code == 1
    assert "is running with another definition" in changed.output


@pytest.mark.parametrize(
    ("flags", "name", "message"),
    [
        (("--stop",), "new_algorithm_test", "no experiment 'new_algorithm_test' is running"),
        (("--logged",), "mine", "'mine' was never started"),
        (("--plan",), "new_algorithm_test", "nothing is known of the baseline"),
        (("--start",), "new_algorithm_test", "nothing is known of the baseline"),
        ((), "mine", "both --control and --treatment"),
        (("--power", "1"), "new_algorithm_test", "statistical_power must lie between 0 and 1"),
        (("--min_effect_size", "-1"), "new_algorithm_test", "min_effect_size must be greater than 0"),
        (("--duration_days", "0"), "new_algorithm_test", "duration_days must be a whole number from 1 to 365, got 0"),
    ],
)
def test_what_cannot_be_done_is_one_message(command: Command, flags: tuple[str, ...], name: str, message: str) -> None:
    result = command(*flags, name=name)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_without_a_model_nothing_starts_and_nothing_is_simulated(command: Command, root: Path) -> None:
    (root / "champion" / "CHAMPION.json").unlink()
    started = command("--start")
    assert "no model is deployed: train one first" in started.output
    simulated = command("--simulate")
    assert simulated.exit_code == 1
    assert "no model is deployed" in simulated.output
