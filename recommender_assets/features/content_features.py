"""What is known of an item before anybody has interacted with it: categories, pairs of them, and its year."""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.features.categories import most_frequent_categories
from recommender_assets.features.feature_columns import FeatureTable, Float64s
from recommender_serving.engine.factor_model import Catalogue

_LEAST_ITEMS = 20  # that carry both categories of a pair
_YEARS_PER_UNIT, _MOST_UNITS = 20.0, 3.0
_YEARS_PER_BIN, _BINS = 10, 10


def content_features(catalogue: Catalogue) -> FeatureTable:
    """One row per item; no column without any category or year in the catalogue.

    Columns: each of the most frequent categories, each pair of them that at least twenty items share, and, for a known
    year, its distance to the median year, the square of it, and its decade. An unknown year counts as the median one.
    """
    names, is_of_category = most_frequent_categories(catalogue)
    columns = {f"is_{name}": is_of_category[:, i] for i, name in enumerate(names)}
    columns |= _pairs(names, is_of_category)
    if (catalogue.year > 0).any():
        columns |= _years(catalogue.year)
    values = np.column_stack(list(columns.values())) if columns else np.empty((len(catalogue.year), 0))
    return FeatureTable(tuple(columns), values)


def _pairs(names: tuple[str, ...], is_of_category: Float64s) -> dict[str, Float64s]:
    columns = {}
    for first in range(len(names)):
        for second in range(first + 1, len(names)):
            both = is_of_category[:, first] * is_of_category[:, second]
            if both.sum() >= _LEAST_ITEMS:
                columns[f"is_{names[first]}_and_{names[second]}"] = both
    return columns


def _years(year: NDArray[np.int16]) -> dict[str, Float64s]:
    median = float(np.median(year[year > 0]))
    distance = np.where(year > 0, year - median, 0.0) / _YEARS_PER_UNIT
    distance = np.clip(distance, -_MOST_UNITS, _MOST_UNITS)
    newest = int(year.max()) // _YEARS_PER_BIN
    decades_ago = np.clip(newest - np.where(year > 0, year, median).astype(np.int64) // _YEARS_PER_BIN, 0, _BINS - 1)
    columns = {"year": distance, "squared_year": np.square(distance)}
    return columns | {f"{ago}_decades_ago": (decades_ago == ago).astype(np.float64) for ago in range(_BINS)}
