"""Profiles of users and items, computed anew from all events that count.

Windows end at the latest event (`as_of`), never at the clock: equal tables give equal profiles.
"""

from typing import Literal

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812

from recommender_assets.ingestion.commits import uncommitted
from recommender_assets.ingestion.tables import SCHEMAS, TableName, read_table, table_path
from recommender_assets.settings import Settings

_EVENT = ["user_id", "item_id", "event_type", "rating", "timestamp", "event_id", "event_key"]


def refresh_user_profiles(spark: SparkSession, settings: Settings) -> int:
    """Recompute `user_profiles`; returns the number of users.

    `category_shares` holds, for each category, its share among all categories of the items a user interacted with.
    """
    events = _events(spark, settings)
    activity = _activity(events, "user_id")
    items = _table(spark, settings, "items").select("item_id", F.explode("categories").alias("category"))
    counts = events.join(items, "item_id").groupBy("user_id", "category").count()
    share = F.col("count") / F.sum("count").over(Window.partitionBy("user_id"))
    shares = counts.select("user_id", "category", share.alias("share")).groupBy("user_id")
    entries = F.array_sort(F.collect_list(F.struct("category", "share")))
    categories = shares.agg(F.map_from_entries(entries).alias("category_shares"))
    return _replace(activity.join(categories, "user_id", "left"), settings, "user_profiles")


def refresh_item_profiles(spark: SparkSession, settings: Settings) -> int:
    """Recompute `item_profiles`; returns the number of items."""
    events = _events(spark, settings)
    users = events.groupBy("item_id").agg(F.countDistinct("user_id").alias("users"))
    return _replace(_activity(events, "item_id").join(users, "item_id"), settings, "item_profiles")


def _activity(events: DataFrame, key: Literal["user_id", "item_id"]) -> DataFrame:
    """Counts, recency and mean rating for each user or item. Removals only take ratings back: they are no activity."""
    as_of = events.agg(F.max("timestamp").alias("as_of"))
    is_activity = F.col("event_type") != "remove"
    counted = events.where(is_activity).crossJoin(F.broadcast(as_of))
    return (
        counted.groupBy(key)
        .agg(
            F.count("*").alias("interactions"),
            F.min("timestamp").alias("first_interaction"),
            F.max("timestamp").alias("last_interaction"),
            _in_last_days(7).alias("interactions_7_days"),
            _in_last_days(30).alias("interactions_30_days"),
            F.first("as_of").alias("as_of"),
        )
        .join(_ratings(events, key), key, "left")
        .fillna(0, ["ratings"])
    )


def _in_last_days(days: int) -> Column:
    return F.count_if(F.col("timestamp") > F.col("as_of") - F.expr(f"INTERVAL {days} DAYS"))


def _ratings(events: DataFrame, key: str) -> DataFrame:
    """Number and mean of the ratings that stand: the latest of each user and item, unless it was removed later."""
    latest = F.max_by(F.struct("event_type", "rating"), F.struct("timestamp", "event_key")).alias("latest")
    pairs = events.where("event_type IN ('rating', 'remove')").groupBy("user_id", "item_id").agg(latest)
    standing = pairs.where("latest.event_type = 'rating'")
    return standing.groupBy(key).agg(F.count("*").alias("ratings"), F.avg("latest.rating").alias("mean_rating"))


def _events(spark: SparkSession, settings: Settings) -> DataFrame:
    """All committed events except forgotten ones, each once."""
    interactions = _table(spark, settings, "interactions").where(f"NOT ({uncommitted(settings.root)})")
    forgets = interactions.where("event_type = 'forget'").groupBy("user_id", "topic_id", "kafka_partition")
    forgotten = forgets.agg(F.max("kafka_offset").alias("forgotten_offset"))
    return (
        _table(spark, settings, "interaction_history")
        .join(F.broadcast(forgotten.select("user_id")), "user_id", "left_anti")
        .select(*_EVENT)
        .unionByName(
            interactions.where("event_type != 'forget'")
            .join(F.broadcast(forgotten), ["user_id", "topic_id", "kafka_partition"], "left")
            .where("forgotten_offset IS NULL OR kafka_offset > forgotten_offset")
            .select(*_EVENT)
        )
        .dropDuplicates(["event_id", "timestamp"])
    )


def _table(spark: SparkSession, settings: Settings, name: TableName) -> DataFrame:
    return spark.read.format("delta").load(table_path(settings.root, name))


def _replace(rows: DataFrame, settings: Settings, name: TableName) -> int:
    columns = SCHEMAS[name].names
    rows.select(*columns).write.format("delta").mode("overwrite").save(table_path(settings.root, name))
    return int(read_table(settings.root, name, columns[:1]).num_rows)
