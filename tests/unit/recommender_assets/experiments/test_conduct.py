import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recommender_assets.experiments import conduct
from recommender_assets.experiments.attribution import DAY_US
from recommender_assets.experiments.conduct import look_at, promote_winner_of, report_day
from recommender_assets.experiments.records import SimulatedDays, begin, read_ending, write_simulated_days
from recommender_assets.ingestion.tables import create_tables, read_table
from recommender_assets.promotion.registry import Registry
from recommender_assets.settings import Settings
from recommender_serving.engine.experiment_definition import Guardrail, Variant
from recommender_serving.engine.running_experiments import ExperimentError, RunningExperiment, read_running
from tests.unit.recommender_assets.experiments.logged_tables import write_traffic
from tests.unit.recommender_assets.experiments.runs import definition

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
MONDAY = dt.date(2026, 1, 5)
START_US = int(dt.datetime(2026, 1, 5, tzinfo=dt.UTC).timestamp()) * 1_000_000


@pytest.fixture
def settings(tmp_path: Path, settings_at: Callable[[Path], Settings]) -> Settings:
    create_tables(tmp_path)
    return settings_at(tmp_path)


def start(settings: Settings, name: str, **changes: Any) -> None:
    asked = definition(name=name, **changes)
    begin(
        settings.root,
        RunningExperiment(definition=asked, started_us=START_US, users_per_arm=300, variances=(0.16, 0.1875)),
    )


def test_each_day_is_kept_and_the_stop_rule_ends_what_is_over(settings: Settings) -> None:
    start(settings, "one")
    write_traffic(settings.root, {"control": 0.2, "treatment": 0.5}, START_US, days=3, users=600)
    days = [MONDAY + dt.timedelta(days=n) for n in range(3)]
    assert [report_day(settings, day)[0].results[0].decision for day in days[:1]] == ["keep_running"]
    assert read_running(settings.root)
    assert report_day(settings, days[1])[0].winner is not None
    ending = read_ending(settings.root, "one")
    assert ending is not None
    assert ending.reason.startswith("treatment is better in ctr")
    assert not read_running(settings.root)
    rows = read_table(settings.root, "experiment_verdicts").to_pylist()
    assert sorted((row["day"], row["decision"]) for row in rows) == [(days[0], "keep_running"), (days[1], "treatment")]
    registry = Registry(settings)
    assert len(registry.client.search_runs([registry.experiment_id], "tags.`recommender.experiment` = 'one'")) == 1


def test_a_broken_guardrail_stops_at_once(settings: Settings) -> None:
    start(settings, "two", guardrails=(Guardrail(metric="conversion", largest_drop=0.05),))
    write_traffic(settings.root, {"control": 0.6, "treatment": 0.1}, START_US, users=250, experiment="two")
    report_day(settings, MONDAY)
    ending = read_ending(settings.root, "two")
    assert ending is not None
    assert ending.reason == "conversion of treatment fell by more than 0.05"


def test_a_day_before_the_start_or_after_the_end_has_no_report(settings: Settings) -> None:
    start(settings, "three")
    assert report_day(settings, MONDAY - dt.timedelta(days=1)) == ()
    assert report_day(settings, MONDAY)[0].results[0].decision == "not_enough_data"
    assert read_running(settings.root)


def test_a_look_may_end_after_so_many_days(settings: Settings) -> None:
    start(settings, "four")
    write_traffic(settings.root, {"control": 0.2, "treatment": 0.5}, START_US, days=3, users=600, experiment="four")
    assert sum(look_at(settings, "four", 1).results[0].samples.values()) == 400
    assert sum(look_at(settings, "four").results[0].samples.values()) == 1_200
    assert dt.datetime.now(dt.UTC).timestamp() * 1_000_000 > START_US + DAY_US


def test_only_what_won_with_users_and_is_a_model_is_promoted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted: list[tuple[str, str]] = []
    monkeypatch.setattr(conduct, "promote_winner", lambda _, version, reason: promoted.append((version, reason)))
    start(settings, "five")
    with pytest.raises(ExperimentError, match=r"'five' has no winner among real users \(treatment: not_enough_data\)"):
        promote_winner_of(settings, "five")
    write_traffic(settings.root, {"control": 0.2, "treatment": 0.5}, START_US, users=600, experiment="five")
    promote_winner_of(settings, "five")
    ((version, reason),) = promoted
    assert version == "nmf"  # no pointer here names a version
    assert reason.startswith("experiment five: treatment is better in ctr")
    write_simulated_days(settings.root, "five", SimulatedDays(begins_us=(START_US, START_US + 10**6), population=""))
    with pytest.raises(ExperimentError, match="no winner among real users"):
        promote_winner_of(settings, "five")
    diverse = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf", diversity=0.5)}
    start(settings, "six", variants=diverse)
    write_traffic(settings.root, {"control": 0.2, "treatment": 0.5}, START_US, users=600, experiment="six")
    with pytest.raises(ExperimentError, match=r"more than a model: popularity_discount 0 and diversity 0\.5"):
        promote_winner_of(settings, "six")
