import pytest

from recommender_assets.settings import HistoryColumns, HistorySettings


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"source": "csv"}, "path is required for source csv"),
        ({"source": "movielens", "path": "x.csv"}, "path must be empty for source movielens"),
        ({"first_month": "2014-13"}, "first_month must be a month"),
        ({"first_month": "", "last_month": ""}, "first_month must be a month"),
        ({"source": "parquet", "path": "x", "first_month": "2014-01", "last_month": ""}, "last_month must be a month"),
        ({"first_month": "2014-02", "last_month": "2014-01"}, "is later than"),
    ],
    ids=str,
)
def test_a_history_that_makes_no_sense_is_refused(fields: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        HistorySettings(**fields)  # type: ignore[arg-type]


def test_the_months_of_a_file_may_be_left_open() -> None:
    history = HistorySettings(source="csv", path="ratings.csv.gz", first_month="", last_month="")
    assert history.columns.timestamp == "timestamp"


def test_user_item_and_time_need_a_column() -> None:
    with pytest.raises(ValueError, match="user_id must name a column"):
        HistoryColumns(user_id="")
