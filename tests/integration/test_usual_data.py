"""On the ratings that ship with the project every check passes with the shipped limits."""

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake

from recommender_assets.features.feature_checks import FEATURES_CHECKS
from recommender_assets.features.matrix import build_matrix, matrix_directory, save_matrix
from recommender_assets.features.matrix_checks import MATRIX_CHECKS
from recommender_assets.features.reduction import features_directory, reduce_features, save_features
from recommender_assets.ingestion import sources
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.interactions_checks import (
    interactions_are_fresh,
    rating_distribution_is_stable,
    unknown_item_share_is_low,
    volume_is_usual,
)
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.settings import Settings, load_settings
from recommender_assets.training.hold_out import hold_out_mask

OBSERVED = (interactions_are_fresh, volume_is_usual, rating_distribution_is_stable, unknown_item_share_is_low)


def write(settings: Settings, name: TableName, rows: pa.Table, **columns: pa.Array) -> None:
    """The rows with these columns, and nothing in all others."""
    n, known = rows.num_rows, {field: rows[field] for field in rows.column_names} | columns
    given = {f.name: known[f.name].cast(f.type) if f.name in known else pa.nulls(n, f.type) for f in SCHEMAS[name]}
    write_deltalake(table_path(settings.root, name), pa.table(given, schema=SCHEMAS[name]), mode="append")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The first twenty years as history, what came after them as one batch of events, features of both."""
    settings = load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path_factory.mktemp("usual"))})
    create_tables(settings.root)
    ratings = sources.ratings()
    ratings = ratings.append_column("event_type", pa.array(["rating"] * ratings.num_rows))
    ratings = ratings.append_column("event_key", pa.array(range(ratings.num_rows), pa.int64()))
    is_past = pc.less(ratings["timestamp"], pa.scalar(settings.history.end, ratings["timestamp"].type))
    past, live = ratings.filter(is_past), ratings.filter(pc.invert(is_past))
    write(settings, "items", sources.films())
    write(settings, "interaction_history", past)
    n, topic = live.num_rows, settings.streaming.topic
    offsets, now = pa.array(range(n), pa.int64()), pa.array([dt.datetime.now(dt.UTC)] * n)
    record = {"topic_id": pa.array(["t"] * n), "kafka_partition": pa.array([0] * n), "kafka_offset": offsets}
    write(settings, "interactions", live, ingested_at=now, **record)
    append_rows(settings.root, topic, "t", [LedgerRow(0, 0, n, accepted=n)])
    matrix = build_matrix(settings)
    save_matrix(matrix_directory(settings.root), matrix)
    held_out = hold_out_mask(matrix, settings.training.hold_out_share)
    save_features(features_directory(settings.root), matrix, reduce_features(matrix, held_out, settings))
    return settings


@pytest.mark.parametrize("check", [*OBSERVED, *MATRIX_CHECKS, *FEATURES_CHECKS], ids=lambda check: str(check.name))
def test_the_shipped_ratings_are_usual(settings: Settings, check) -> None:
    fact = check(settings)
    assert fact.passed, fact.reason
    assert "too few" not in fact.reason or fact.name == "volume_is_usual"


def test_the_figures_behind_the_facts(settings: Settings) -> None:
    drift = rating_distribution_is_stable(settings).numbers
    assert 0.05 < float(drift["psi"]) < 0.25
    assert drift["recent_ratings"] > settings.checks.recent_events
    assert unknown_item_share_is_low(settings).numbers["unknown_share"] == 0.0
    r2 = FEATURES_CHECKS[0](settings).numbers
    assert all(float(r2[name]) > 0.8 for name in ("user_r2", "item_r2"))
