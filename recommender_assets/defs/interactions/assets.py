"""Tables of interactions, profiles and items."""

from collections.abc import Iterator

import dagster as dg
from dagster_pyspark import LazyPySparkResource

from recommender_assets.defs.conditions import FOLLOWS_ITS_DATA
from recommender_assets.defs.freshness import EVENTS_ARE_FRESH
from recommender_assets.defs.interactions.lineage import profile_lineage
from recommender_assets.defs.interactions.partitions import history_months
from recommender_assets.defs.owners import OWNERS
from recommender_assets.defs.table_metadata import table_metadata
from recommender_assets.ingestion.schemas import ProfileTableName
from recommender_assets.presentation.table_facts import table_facts
from recommender_assets.settings import Settings

SPARK_POOL = "spark"
PROFILES_POOL = "profiles"
DELTA = {"spark", "deltalake"}
AFTER_THE_CHAMPION = {"dagster/priority": "-1"}  # nothing in a run waits for the profiles

user_interactions_topic = dg.AssetSpec(
    "user_interactions_topic",
    description="The Kafka topic of interaction events (ratings, views, clicks, purchases, ...): JSON, keyed by user.",
    group_name="interactions",
    owners=OWNERS,
    kinds={"kafka", "json"},
)


@dg.asset(
    deps=[user_interactions_topic],
    group_name="interactions",
    owners=OWNERS,
    kinds=DELTA,
    pool=SPARK_POOL,
    code_version="1",
    freshness_policy=EVENTS_ARE_FRESH,
    metadata=table_metadata("interactions"),
)
def interactions(
    spark: dg.ResourceParam[LazyPySparkResource], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult[None]:
    """Valid events of the topic, each exactly once, with the Kafka partition and offset they came from.

    A run reads what is there now; while `recommender stream` writes the table, it only says up to where. Records that
    break a rule go to `rejected_events` with their bytes and a reason; the ingestion ledger accounts for every offset.
    """
    from recommender_assets.ingestion.streaming_query import ingest_or_report
    from recommender_assets.ingestion.topic_position import unread

    report = ingest_or_report(lambda: spark.spark_session, settings)
    lag = unread(settings.streaming, report.position.next_offsets)
    return dg.MaterializeResult(
        metadata={
            **table_facts(settings.root, "interactions"),
            "lag": "unknown" if lag is None else lag,
            "read": report.read,
            "accepted": report.accepted,
            "duplicate": report.duplicate,
            "rejected": report.rejected,
            "batches": report.batches,
            "written_by": report.writer or "this run",
            "next_offsets": {str(partition): offset for partition, offset in report.position.next_offsets.items()},
        }
    )


@dg.asset(
    group_name="interactions",
    owners=OWNERS,
    kinds=DELTA,
    pool=SPARK_POOL,
    code_version="1",
    partitions_def=history_months,
    backfill_policy=dg.BackfillPolicy.single_run(),
    metadata=table_metadata("interaction_history"),
)
def interaction_history(
    context: dg.AssetExecutionContext,
    spark: dg.ResourceParam[LazyPySparkResource],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """The past that a team imports on day one, by month, as events: MovieLens, a CSV or a Parquet source.

    A range of months is one run that replaces exactly that range, so a backfill can be repeated. Rows that break a rule
    go to `rejected_history` as they came, with a reason.
    """
    from recommender_assets.ingestion.history import import_history

    window = context.partition_time_window
    report = import_history(spark.spark_session, settings, window.start, window.end)
    return dg.MaterializeResult(
        metadata={
            **table_facts(settings.root, "interaction_history"),
            "imported": report.imported,
            "duplicate": report.duplicate,
            "rejected": report.rejected,
            "outside": report.outside,
            "from": window.start.isoformat(),
            "to": window.end.isoformat(),
        }
    )


@dg.asset(
    group_name="interactions", owners=OWNERS, kinds={"deltalake"}, code_version="1", metadata=table_metadata("items")
)
def items(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """The catalogue: title, categories and year of every item."""
    from recommender_assets.ingestion.catalogue import import_items

    import_items(settings)
    return dg.MaterializeResult(metadata=table_facts(settings.root, "items"))


def profile_spec(name: ProfileTableName, description: str, sources: list[dg.AssetsDefinition]) -> dg.AssetSpec:
    """One of the two tables that are written together."""
    return dg.AssetSpec(
        name,
        deps=sources,
        description=description,
        group_name="interactions",
        owners=OWNERS,
        kinds={"deltalake", "numpy"},
        code_version="2",
        metadata=table_metadata(name) | {"dagster/column_lineage": profile_lineage(name)},
        automation_condition=FOLLOWS_ITS_DATA,
        freshness_policy=EVENTS_ARE_FRESH,
    )


@dg.multi_asset(
    specs=[
        profile_spec(
            "user_profiles",
            "What each user did: counts, ratings, recency, activity by minute and hour, affinity to categories.",
            [interactions, interaction_history, items],
        ),
        profile_spec(
            "item_profiles",
            "What happened to each item: users, counts, ratings, recency, activity by minute and hour.",
            [interactions, interaction_history],
        ),
    ],
    op_tags=AFTER_THE_CHAMPION,
    pool=PROFILES_POOL,
)
def profiles(settings: dg.ResourceParam[Settings]) -> Iterator[dg.MaterializeResult[None]]:
    """Both profile tables, brought up to date with the events that are new, changed, removed or forgotten since."""
    from recommender_assets.ingestion.profiles.refresh import refresh_profiles

    refresh = refresh_profiles(settings)
    written_by_table: dict[ProfileTableName, int] = {"user_profiles": refresh.users, "item_profiles": refresh.items}
    for name, written in written_by_table.items():
        metadata = {"written": written, "computed_anew": refresh.is_complete}
        yield dg.MaterializeResult(asset_key=name, metadata=table_facts(settings.root, name) | metadata)
