from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from recommender_assets.defs.maintenance import SHOWN_TABLES, maintenance_job, maintenance_schedule
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    create_tables(tmp_path)
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def test_the_job_cares_for_the_tables_and_shows_what_they_hold(settings: Settings) -> None:
    for number in range(2):
        row = {"user_id": "u", "item_id": str(number), "event_type": "view", "event_key": number, "timestamp": 0}
        rows = pa.Table.from_pylist([row], schema=SCHEMAS["interaction_history"])
        write_deltalake(table_path(settings.root, "interaction_history"), rows, mode="append")
    with dg.DagsterInstance.ephemeral() as instance:
        result = maintenance_job.execute_in_process(instance=instance, resources={"settings": settings})
    assert result.success
    observed = {
        event.asset_observation_data.asset_observation.asset_key.to_user_string(): event.asset_observation_data
        for event in result.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
    }
    assert set(observed) == set(SHOWN_TABLES)
    history = observed["interaction_history"].asset_observation.metadata
    assert (history["dagster/row_count"].value, history["files"].value, history["version"].value) == (2, 1, 3)


def test_it_runs_daily_at_a_time_of_the_configuration(settings: Settings) -> None:
    assert maintenance_schedule.cron_schedule == settings.maintenance.schedule
    assert maintenance_schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_it_waits_for_ingestion_in_the_same_pool() -> None:
    (node,) = maintenance_job.nodes
    assert node.definition.pool == "spark"
