from pathlib import Path

import dagster as dg
import pytest

from recommender_assets.automation.checks import CHECKS
from recommender_assets.definitions import defs
from recommender_assets.defs.checks import as_asset_check
from recommender_assets.fact import Check, Outcome
from recommender_assets.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


@pytest.mark.parametrize(
    ("blocking", "severity"), [(True, dg.AssetCheckSeverity.ERROR), (False, dg.AssetCheckSeverity.WARN)]
)
def test_a_fact_is_told_with_its_figures_and_its_weight(
    settings: Settings, severity: dg.AssetCheckSeverity, *, blocking: bool
) -> None:
    def judge(given: Settings) -> Outcome:
        return Outcome(False, f"looked at {given.root == settings.root}", {"rows": 3, "share": 0.5, "version": "svd-1"})

    definition = as_asset_check(Check("items", "rows_are_three", blocking, "There are three rows.", judge))
    (spec,) = definition.check_specs
    told = (spec.asset_key.to_user_string(), spec.name, spec.blocking, spec.description)
    assert told == ("items", "rows_are_three", blocking, "There are three rows.")
    result = definition(settings=settings)
    assert isinstance(result, dg.AssetCheckResult)
    assert (result.passed, result.description, result.severity) == (False, "looked at True", severity)
    assert {name: value.value for name, value in result.metadata.items()} == {
        "rows": 3,
        "share": 0.5,
        "version": "svd-1",
    }


def test_a_fact_that_holds_needs_no_words(settings: Settings) -> None:
    definition = as_asset_check(Check("items", "all_is_well", False, "", lambda _: Outcome(True)))
    result = definition(settings=settings)
    assert isinstance(result, dg.AssetCheckResult)
    assert (result.passed, result.description) == (True, None)


def test_every_declared_check_is_an_asset_check_of_an_asset_that_exists() -> None:
    graph = defs().resolve_asset_graph()
    declared = {dg.AssetCheckKey(dg.AssetKey(check.asset), check.name) for check in CHECKS}
    assert len(declared) == len(CHECKS)
    assert declared <= set(graph.asset_check_keys)
    assert {key.asset_key for key in declared} <= graph.materializable_asset_keys


def test_no_run_waits_for_an_observation_but_the_clock_asks_for_it() -> None:
    definitions = defs()
    observed = {
        "interactions_are_fresh",
        "volume_is_usual",
        "rating_distribution_is_stable",
        "unknown_item_share_is_low",
    }
    checks = {
        job: {key.name for key in definitions.resolve_job_def(job).asset_layer.asset_graph.asset_check_keys}
        for job in ("ingest_job", "recommendation_job", "check_job")
    }
    assert checks["check_job"] == observed
    assert not (checks["ingest_job"] | checks["recommendation_job"]) & observed
    assert {"offsets_are_contiguous", "no_duplicate_events"} <= checks["ingest_job"]
    (schedule,) = (s for s in definitions.schedules or [] if getattr(s, "job_name", "") == "check_job")
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.cron_schedule, schedule.default_status) == ("@hourly", dg.DefaultScheduleStatus.RUNNING)


def test_the_checks_run_without_any_other_step(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs().resolve_job_def("check_job")
        result = job.execute_in_process(instance=instance, resources={"settings": settings}, raise_on_error=False)
    told = {found.check_name: found for found in result.get_asset_check_evaluations()}
    assert result.success
    assert len(told) == 4
    assert not told["interactions_are_fresh"].passed
