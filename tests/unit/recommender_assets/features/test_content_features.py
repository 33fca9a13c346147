import numpy as np
import pytest

from recommender_assets.features.categories import most_frequent_categories
from recommender_assets.features.content_features import content_features
from recommender_serving.engine.factor_model import Catalogue
from recommender_serving.engine.string_table import StringTable


def catalogue(categories: list[str], years: list[int] | None = None) -> Catalogue:
    return Catalogue(
        titles=StringTable.from_strings([""] * len(categories)),
        categories=StringTable.from_strings(categories),
        year=np.array(years or [0] * len(categories), dtype=np.int16),
    )


def column(table, name: str) -> list[float]:
    return table.values[:, table.names.index(name)].tolist()


def test_categories_the_most_frequent_first_and_at_most_twenty():
    texts = [f"rare{i}" for i in range(25)] + ["drama|war", "drama", ""]
    names, is_of_category = most_frequent_categories(catalogue(texts))

    assert names[0] == "drama"
    assert len(names) == 20
    assert is_of_category[-3:, 0].tolist() == [1, 1, 0]
    assert is_of_category.shape == (28, 20)


def test_pairs_need_enough_items():
    table = content_features(catalogue(["a|b"] * 20 + ["a|c"] * 19 + ["a"]))

    assert column(table, "is_a_and_b") == [1.0] * 20 + [0.0] * 20
    assert "is_a_and_c" not in table.names


def test_years_are_measured_from_the_median_and_by_decade():
    table = content_features(catalogue([""] * 5, [1980, 2000, 2000, 2019, 0]))

    assert column(table, "year") == pytest.approx([-1.0, 0.0, 0.0, 0.95, 0.0])
    assert column(table, "squared_year") == pytest.approx([1.0, 0.0, 0.0, 0.9025, 0.0])
    assert column(table, "0_decades_ago") == [0, 0, 0, 1, 0]
    assert column(table, "1_decades_ago") == [0, 1, 1, 0, 1]
    assert column(table, "3_decades_ago") == [1, 0, 0, 0, 0]


def test_years_far_away_are_taken_as_the_farthest():
    table = content_features(catalogue([""] * 4, [1000, 2000, 2000, 2001]))

    assert column(table, "year")[0] == -3.0
    assert column(table, "9_decades_ago")[0] == 1.0


def test_a_catalogue_that_says_nothing_has_no_columns():
    table = content_features(catalogue(["", "", ""]))

    assert table.names == ()
    assert table.values.shape == (3, 0)
