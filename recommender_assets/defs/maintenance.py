"""The daily care of the tables."""

import dagster as dg

from recommender_assets.defs.interactions.assets import SPARK_POOL
from recommender_assets.ingestion.schemas import TableName
from recommender_assets.presentation.table_facts import table_facts
from recommender_assets.settings import Settings, load_settings

SHOWN_TABLES: tuple[TableName, ...] = ("interactions", "interaction_history", "items", "user_profiles", "item_profiles")


@dg.op(pool=SPARK_POOL, out=dg.Out(dg.Nothing))
def table_maintenance(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    """Carry out forgetting and retention, merge small files (OPTIMIZE) and remove old ones (VACUUM).

    Ingestion waits meanwhile: runs by the pool, `recommender stream` by the writer lease.
    """
    from recommender_assets.ingestion.maintenance import maintain

    for line in maintain(settings, context.log.info).lines():
        context.log.info(line)
    for name in SHOWN_TABLES:
        context.log_event(dg.AssetObservation(name, metadata=table_facts(settings.root, name)))


@dg.job(description="Daily care of the tables: forgetting, retention, OPTIMIZE and VACUUM.")
def maintenance_job() -> None:
    """Everything that `recommender maintain` does."""
    table_maintenance()


maintenance_schedule = dg.ScheduleDefinition(
    job=maintenance_job,
    cron_schedule=load_settings().maintenance.schedule,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="maintenance.schedule of the configuration, in UTC.",
)
