from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.tracking import track
from recommender_assets.promotion.registry import Registry
from recommender_assets.settings import Settings
from tests.unit.recommender_assets.experiments.runs import experiment_run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def settings(tmp_path: Path, settings_at: Callable[[Path], Settings]) -> Settings:
    return settings_at(tmp_path)


def test_an_experiment_is_one_run_with_plan_daily_curve_verdict_and_plot(settings: Settings) -> None:
    run_id = track(settings, experiment_run({"control": 0.2, "treatment": 0.3}, users=900, days=3))
    assert track(settings, finished()) == run_id
    client = Registry(settings).client
    run = client.get_run(run_id)
    assert run.info.run_name == "experiment one"
    assert run.data.params["users_per_arm"] == "2000"
    assert run.data.params["metric"] == "ctr"
    assert '"algorithm":"nmf"' in run.data.params["variant.treatment"]
    assert run.data.tags["treatment.decision"] == "treatment"
    assert run.data.tags["traffic"] == "simulated"
    assert run.data.metrics["treatment.p_value"] == pytest.approx(finished().results[0].p_value)
    days = {point.step for point in client.get_metric_history(run_id, "daily.treatment.difference")}
    assert days == {0, 1, 2, 3, 4}
    assert {artifact.path for artifact in client.list_artifacts(run_id)} == {
        "plan.json",
        "report.html",
        "effect_by_day.png",
    }


def test_an_experiment_of_the_same_name_that_started_at_another_time_is_another_run(settings: Settings) -> None:
    first = finished()
    later = ExperimentRun(msgspec.structs.replace(first.experiment, started_us=1_800_000_000_000_000), first.results)
    assert track(settings, first) != track(settings, later)


def finished() -> ExperimentRun:
    return experiment_run({"control": 0.2, "treatment": 0.3}, days=5)
