"""A past on the disk without any import: ratings of films with many of them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from recommender_assets.ingestion import sources
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, table_path

FILMS = 250


def write_history(root: Path) -> None:
    """Create the tables, and fill `interaction_history` with the ratings of the most rated films."""
    create_tables(root)
    ratings = sources.ratings()
    counts = ratings["item_id"].value_counts().sort(order="descending", by="counts")
    ratings = ratings.filter(pc.is_in(ratings["item_id"], counts.field("values").slice(0, FILMS)))
    n = ratings.num_rows
    columns = {name: ratings[name] for name in ("user_id", "item_id", "rating", "timestamp")}
    columns |= {"event_type": pa.array(["rating"] * n), "event_id": pa.array([f"e{row}" for row in range(n)])}
    columns |= {"event_key": pa.array(range(n), pa.int64())}
    schema = SCHEMAS["interaction_history"]
    rows = pa.table({field.name: columns[field.name].cast(field.type) for field in schema}, schema=schema)
    write_deltalake(table_path(root, "interaction_history"), rows, mode="append")
