import datetime as dt
import gzip

import pyarrow as pa
import pytest
from pyarrow import parquet

from recommender_assets.features.matrix import EmptyMatrixError
from recommender_assets.features.rating_sets import RatingFileError, rating_matrix
from recommender_serving.engine.config import EventWeights

CSV = "user_id,item_id,rating,timestamp\n1,10,4,100\n2,10,1.5,200\n1,11,3,300\n"


def facts(matrix):
    observations = matrix.observations
    return (
        [matrix.user_ids[i] for i in observations.user_of_row()],
        [matrix.item_ids[i] for i in observations.item],
        observations.rating.tolist(),
        matrix.history.timestamp_us.tolist(),
        (matrix.scale.min, matrix.scale.max),
    )


EXPECTED = (["1", "1", "2"], ["10", "11", "10"], [4.0, 3.0, 1.5], [100_000_000, 300_000_000, 200_000_000], (1.5, 4.0))


def test_csv_plain_and_compressed(tmp_path):
    (tmp_path / "r.csv").write_text(CSV)
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(CSV.encode()))

    for name in ("r.csv", "r.csv.gz"):
        assert facts(rating_matrix(tmp_path / name, EventWeights())) == EXPECTED


@pytest.mark.parametrize("unit", [None, "ms", "ns"])
def test_parquet_with_seconds_or_timestamps(tmp_path, unit):
    seconds = [100, 200, 300]
    times = [dt.datetime.fromtimestamp(s, dt.UTC) for s in seconds]
    time = pa.array(times, pa.timestamp(unit, tz="UTC")) if unit else pa.array(seconds)
    table = pa.table({"user_id": [1, 2, 1], "item_id": [10, 10, 11], "rating": [4.0, 1.5, 3.0], "timestamp": time})
    parquet.write_table(table, tmp_path / "r.parquet")

    assert facts(rating_matrix(tmp_path / "r.parquet", EventWeights())) == EXPECTED


def test_without_time_stamps_all_are_of_one_instant(tmp_path):
    (tmp_path / "r.csv").write_text("user_id,item_id,rating\n1,10,4\n2,10,1\n")

    assert rating_matrix(tmp_path / "r.csv", EventWeights()).history.timestamp_us.tolist() == [0, 0]


def test_a_missing_column_or_value_is_named(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("user_id,movie,rating\n1,10,4\n")
    with pytest.raises(RatingFileError, match="no column item_id; found user_id, movie, rating"):
        rating_matrix(path, EventWeights())
    path.write_text("user_id,item_id,rating\n1,10,4\n1,11,\n")
    with pytest.raises(RatingFileError, match="rows without rating"):
        rating_matrix(path, EventWeights())
    path.write_text("user_id,item_id,rating\n")
    with pytest.raises(EmptyMatrixError):
        rating_matrix(path, EventWeights())
