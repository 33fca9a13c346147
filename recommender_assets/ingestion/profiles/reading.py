import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recommender_assets.ingestion.profiles.counts_by_time import SLACK_US, window_counts
from recommender_assets.ingestion.profiles.profile_table import KEYS
from recommender_assets.ingestion.schemas import ProfileTableName
from recommender_assets.ingestion.tables import read_table
from recommender_serving.engine.activity import WINDOWS, popularity_trend

_TIME = pa.timestamp("us", tz="UTC")


def read_profiles(
    root: Path, name: ProfileTableName, ids: list[str] | None = None, as_of: dt.datetime | None = None
) -> pa.Table:
    """Profiles of users or items with what depends on the time: windows, for items also the popularity trend.

    Args:
        root: the storage root.
        name: which table.
        ids: of users or items; None = all.
        as_of: end of the windows, with an offset; None = the newest event among these profiles.

    Returns:
        The table's columns without the counts by minute and hour, `mean_rating`, one column `interactions_<window>` for
        each of `WINDOWS`, `as_of`, and for items `trend` (see `activity.popularity_trend`).

    Raises:
        ValueError: `as_of` is more than a day before the newest event; what lay in the windows then is not kept.
    """
    condition = None if ids is None else pc.field(KEYS[name]).isin(pa.array(ids, pa.string()))
    profiles = read_table(root, name, condition=condition)
    last_us = pc.max(profiles["last_interaction"]).cast(pa.int64()).as_py()
    as_of_us = (last_us or 0) if as_of is None else round(as_of.timestamp() * 1_000_000)
    if last_us is not None and as_of_us < last_us - SLACK_US:
        newest = dt.datetime.fromtimestamp(last_us / 1_000_000, dt.UTC).isoformat()
        raise ValueError(f"as_of must not lie more than a day before the newest event ({newest}), got {as_of}")
    counts = {window.name: window_counts(profiles, window, as_of_us) for window in WINDOWS}
    ratings, rating_sum = (profiles[column].to_numpy() for column in ("ratings", "rating_sum"))
    mean = np.divide(rating_sum, ratings, out=np.full(len(ratings), np.nan), where=ratings > 0)
    result = profiles.drop_columns(["per_minute", "per_hour", "rating_sum"])
    result = result.append_column("mean_rating", pa.array(mean, from_pandas=True))
    for window, count in counts.items():
        result = result.append_column(f"interactions_{window}", pa.array(count))
    if name == "item_profiles":
        result = result.append_column("trend", pa.array(popularity_trend(counts["7_days"], counts["30_days"])))
    return result.append_column("as_of", pa.repeat(pa.scalar(as_of_us).cast(_TIME), result.num_rows))
