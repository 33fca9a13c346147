"""User-item matrices for tests: small ones from a seed, and the real one."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa

from recommender_assets.features.matrix import UserItemMatrix, matrix_of_events
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.sources import films, ratings
from recommender_assets.settings import (
    DagsterSettings,
    EvaluationSettings,
    FeaturesSettings,
    HistorySettings,
    MlflowSettings,
    ModelsSettings,
    NmfSettings,
    PromotionSettings,
    Settings,
    SparkSettings,
    SvdSettings,
    TrainingSettings,
)
from recommender_serving.engine.config import EventWeights, RatingScale, StorageSettings, StreamingSettings
from recommender_serving.engine.manifest import Position

START_US = 1_600_000_000_000_000
EVENT_COLUMNS = ["user_id", "item_id", "event_type", "rating", "timestamp", "event_key"]
NO_ITEMS = SCHEMAS["items"].empty_table()


def events_table(rows: Sequence[tuple[str, str, str, float | None]]) -> pa.Table:
    """Events (user, item, type, rating), one second apart."""
    user, item, kind, rating = ([row[i] for row in rows] for i in range(4))
    n = len(rows)
    return pa.table(
        {
            "user_id": pa.array(user, pa.string()),
            "item_id": pa.array(item, pa.string()),
            "event_type": pa.array(kind, pa.string()),
            "rating": pa.array(rating, pa.float32()),
            "timestamp": pa.array([START_US + i * 1_000_000 for i in range(n)]).cast(pa.timestamp("us", tz="UTC")),
            "event_key": pa.array(range(n), pa.int64()),
        }
    )


def matrix_from(events: pa.Table, items: pa.Table = NO_ITEMS) -> UserItemMatrix:
    """Matrix of events with the default weights and scale."""
    return matrix_of_events(events, items, Position(), EventWeights(), RatingScale())


def random_matrix(n_users: int = 30, n_items: int = 25, density: float = 0.5, seed: int = 0) -> UserItemMatrix:
    """Ratings with a structure that can be learnt, and views without rating for a tenth of the pairs."""
    random = np.random.default_rng(seed)
    taste, kind = random.normal(size=(n_users, 2)), random.normal(size=(n_items, 2))
    stars = np.clip(np.round(2 * (3.2 + taste @ kind.T)) / 2, 0.5, 5.0)
    rows: list[tuple[str, str, str, float | None]] = []
    for user, item in np.argwhere(random.random((n_users, n_items)) < density):
        viewed = random.random() < 0.1
        rows.append((f"u{user}", f"i{item}", "view" if viewed else "rating", None if viewed else stars[user, item]))
    items = pa.Table.from_pylist(
        [
            {"item_id": f"i{i}", "title": f"Film {i}", "categories": ["Drama", "Comedy"][: 1 + i % 2], "year": 1990 + i}
            for i in range(n_items)
        ],
        schema=SCHEMAS["items"],
    )
    return matrix_from(events_table(rows), items)


@cache
def movielens_matrix() -> UserItemMatrix:
    """The 100,004 real ratings."""
    table = ratings()
    n = table.num_rows
    events = table.append_column("event_type", pa.array(["rating"] * n))
    events = events.append_column("event_key", pa.array(range(n), pa.int64()))
    return matrix_from(events.select(EVENT_COLUMNS), films())


def default_settings(root: str = "unused", svd: SvdSettings | None = None, nmf: NmfSettings | None = None) -> Settings:
    """Settings without a file."""
    return Settings(
        storage=StorageSettings(root=root),
        ratings=RatingScale(),
        weights=EventWeights(),
        streaming=StreamingSettings(),
        spark=SparkSettings(),
        history=HistorySettings(),
        models=ModelsSettings(svd=svd or SvdSettings(), nmf=nmf or NmfSettings()),
        training=TrainingSettings(),
        features=FeaturesSettings(),
        evaluation=EvaluationSettings(),
        promotion=PromotionSettings(),
        mlflow=MlflowSettings(),
        dagster=DagsterSettings(),
    )
