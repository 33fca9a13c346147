"""Profiles of users and items, computed anew from all events that count.

Windows end at the latest event (`as_of`), never at the clock: equal tables give equal profiles.
"""

from typing import Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from recommender_assets.ingestion.commits import uncommitted
from recommender_assets.ingestion.tables import SCHEMAS, TableName, read_table, table_path
from recommender_assets.settings import Settings

_EVENT = ["user_id", "item_id", "event_type", "rating", "timestamp", "event_id", "event_key"]
_CATEGORY_SHARES = """
    map_from_entries(transform(
        array_sort(collect_list(struct(category, occurrences))),
        entry -> struct(entry.category, entry.occurrences / sum(occurrences))
    ))
"""


def refresh_user_profiles(spark: SparkSession, settings: Settings) -> int:
    """Recompute `user_profiles`; returns the number of users.

    `category_shares` holds, for each category, its share among all categories of the items a user interacted with.
    """
    pairs = _pairs(spark, settings)
    categories = _table(spark, settings, "items").select("item_id", F.explode("categories").alias("category"))
    occurrences = pairs.join(categories, "item_id").groupBy("user_id", "category")
    shares = (
        occurrences.agg(F.sum("interactions").alias("occurrences"))
        .groupBy("user_id")
        .agg(F.expr(_CATEGORY_SHARES).alias("category_shares"))
    )
    return _replace(_totals(pairs, "user_id").join(shares, "user_id", "left"), settings, "user_profiles")


def refresh_item_profiles(spark: SparkSession, settings: Settings) -> int:
    """Recompute `item_profiles`; returns the number of items."""
    return _replace(_totals(_pairs(spark, settings), "item_id"), settings, "item_profiles")


def _pairs(spark: SparkSession, settings: Settings) -> DataFrame:
    """What each user did with each item, and the rating that stands: the latest one, unless it was removed later.

    Removals only take ratings back: they are no activity.
    """
    history, interactions = _table(spark, settings, "interaction_history"), _committed_interactions(spark, settings)
    times = history.select("timestamp").union(interactions.select("timestamp"))
    as_of = F.broadcast(times.agg(F.max("timestamp").alias("as_of")))
    is_activity = "FILTER (WHERE event_type != 'remove')"
    columns = {
        "interactions": f"count(*) {is_activity}",
        "first_interaction": f"min(timestamp) {is_activity}",
        "last_interaction": f"max(timestamp) {is_activity}",
        "interactions_7_days": "count_if(event_type != 'remove' AND timestamp > as_of - INTERVAL 7 DAYS)",
        "interactions_30_days": "count_if(event_type != 'remove' AND timestamp > as_of - INTERVAL 30 DAYS)",
        "rating": """(max_by(struct(event_type, rating), struct(timestamp, event_key))
                      FILTER (WHERE event_type IN ('rating', 'remove'))).rating""",
    }
    return (
        _standing_events(history, interactions)
        .crossJoin(as_of)
        .groupBy("user_id", "item_id", "as_of")
        .agg(*(F.expr(expression).alias(name) for name, expression in columns.items()))
        .where("interactions > 0")
    )


def _totals(pairs: DataFrame, key: Literal["user_id", "item_id"]) -> DataFrame:
    return pairs.groupBy(key).agg(
        F.count("*").alias("users"),
        *(F.sum(name).alias(name) for name in ("interactions", "interactions_7_days", "interactions_30_days")),
        F.min("first_interaction").alias("first_interaction"),
        F.max("last_interaction").alias("last_interaction"),
        F.first("as_of").alias("as_of"),
        F.count("rating").alias("ratings"),
        F.avg("rating").alias("mean_rating"),
    )


def _standing_events(history: DataFrame, interactions: DataFrame) -> DataFrame:
    """All events except forgotten ones, each once."""
    forgets = interactions.where("event_type = 'forget'").groupBy("user_id", "topic_id", "kafka_partition")
    forgotten = forgets.agg(F.max("kafka_offset").alias("forgotten_offset"))
    remembered = (
        interactions.where("event_type != 'forget'")
        .join(F.broadcast(forgotten), ["user_id", "topic_id", "kafka_partition"], "left")
        .where("forgotten_offset IS NULL OR kafka_offset > forgotten_offset")
    )
    past = history.join(F.broadcast(forgotten.select("user_id").distinct()), "user_id", "left_anti")
    return past.select(*_EVENT).union(remembered.select(*_EVENT)).dropDuplicates(["event_id", "timestamp"])


def _committed_interactions(spark: SparkSession, settings: Settings) -> DataFrame:
    return _table(spark, settings, "interactions").where(f"NOT ({uncommitted(settings.root)})")


def _table(spark: SparkSession, settings: Settings, name: TableName) -> DataFrame:
    return spark.read.format("delta").load(table_path(settings.root, name))


def _replace(rows: DataFrame, settings: Settings, name: TableName) -> int:
    columns = SCHEMAS[name].names
    rows.select(*columns).write.format("delta").mode("overwrite").save(table_path(settings.root, name))
    return int(read_table(settings.root, name, columns[:1]).num_rows)
