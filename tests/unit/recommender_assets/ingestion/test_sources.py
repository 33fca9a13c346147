import datetime as dt

import pyarrow.compute as pc

from recommender_assets.ingestion import sources
from recommender_assets.ingestion.schemas import SCHEMAS


def test_all_ratings_come_in_time_order_and_inside_the_scale() -> None:
    ratings = sources.ratings()
    assert ratings.num_rows == 100_004
    assert pc.count_distinct(ratings["user_id"]).as_py() == 671
    times = ratings["timestamp"].to_pylist()
    assert times == sorted(times)
    assert times[0] == dt.datetime(1995, 1, 9, 11, 46, 49, tzinfo=dt.UTC)
    assert pc.min_max(ratings["rating"]).as_py() == {"min": 0.5, "max": 5.0}


def test_each_rated_film_comes_once_with_title_categories_and_year() -> None:
    films = sources.films()
    assert films.schema.equals(SCHEMAS["items"])
    assert films.num_rows == 9_066
    assert set(films["item_id"].to_pylist()) == set(sources.ratings()["item_id"].to_pylist())
    assert films.slice(0, 1).to_pylist() == [
        {
            "item_id": "1",
            "title": "Toy Story",
            "categories": ["Adventure", "Animation", "Children", "Comedy", "Fantasy"],
            "year": 1995,
        }
    ]


def test_a_film_without_title_year_or_genre_has_its_id_zero_and_none() -> None:
    films = {film["item_id"]: film for film in sources.films().to_pylist()}
    assert all(film["title"] for film in films.values())
    assert films["108583"]["year"] == 0
    assert not any("(no genres listed)" in film["categories"] for film in films.values())
    assert [] in [film["categories"] for film in films.values()]
