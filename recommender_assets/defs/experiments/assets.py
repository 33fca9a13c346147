"""The log of served lists."""

import dagster as dg

from recommender_assets.defs.owners import OWNERS
from recommender_assets.defs.table_metadata import table_metadata
from recommender_assets.presentation.table_facts import table_facts
from recommender_assets.settings import Settings

served_lists_topic = dg.AssetSpec(
    "served_lists_topic",
    deps=["recommendation_service"],
    description="The Kafka topic of the lists that users were served, written by the service: JSON, keyed by user.",
    group_name="experiments",
    owners=OWNERS,
    kinds={"kafka", "json"},
)


@dg.asset(
    deps=[served_lists_topic],
    group_name="experiments",
    owners=OWNERS,
    kinds={"python", "deltalake"},
    code_version="1",
    metadata=table_metadata("recommendation_log"),
)
def recommendation_log(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """The lists that users were served, each exactly once, with experiment, variant and ranking id.

    All lists of experiments, and those of a share of the other users (`recommendation_log.share`). A run reads what is
    there now; rows and position are one commit. Records that are no served lists go to `rejected_lists`.
    """
    from recommender_assets.ingestion.served_lists import ingest_served_lists

    report = ingest_served_lists(settings)
    return dg.MaterializeResult(
        metadata={
            **table_facts(settings.root, "recommendation_log"),
            "accepted": report.accepted,
            "rejected": report.rejected,
            "expired_before_read": report.lost,
            "next_offsets": {str(partition): offset for partition, offset in report.next_offsets.items()},
        }
    )
