import numpy as np
import pytest

from recommender_assets.features.feature_columns import FeatureTable
from recommender_assets.features.selection import mutual_information, scaled, uncorrelated_columns


def table_of(**columns: list[float]) -> FeatureTable:
    return FeatureTable.from_columns({name: np.array(values, dtype=float) for name, values in columns.items()})


def test_columns_are_scaled_to_0_1_and_constants_to_0():
    found = scaled(table_of(a=[2.0, 4.0, 3.0], constant=[7.0, 7.0, 7.0]))

    assert found.values.tolist() == [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]


def test_near_copies_and_constants_go_and_the_earlier_column_stays():
    random = np.random.default_rng(0)
    a, noise = random.normal(size=200), random.normal(size=200)
    table = table_of(a=a, constant=np.ones(200), negative_copy=-3 * a + 1e-4 * noise, related=a + noise)

    kept = uncorrelated_columns(table, limit=0.99)

    assert [table.names[i] for i in kept] == ["a", "related"]


def test_information_of_an_exact_copy_is_the_entropy_and_of_noise_is_nothing():
    random = np.random.default_rng(1)
    rating = random.choice([1.0, 2.0, 3.0], p=[0.5, 0.25, 0.25], size=6_000)
    table = table_of(copy=rating, reversed=-rating, noise=random.normal(size=6_000))

    found = mutual_information(table, np.arange(6_000), rating)

    entropy = 0.5 * np.log(2) + 2 * 0.25 * np.log(4)
    assert found[:2] == pytest.approx([entropy, entropy], abs=0.02)
    assert found[2] < 0.005


def test_information_of_noise_is_not_overestimated_from_few_ratings():
    random = np.random.default_rng(2)
    rating = random.choice([1.0, 2.0, 3.0, 4.0, 5.0], size=400)
    noise = table_of(**{f"noise_{i}": random.normal(size=400).tolist() for i in range(20)})

    # The plug-in estimate would be about (16 - 1) (5 - 1) / (2 * 400) = 0.075.
    assert mutual_information(noise, np.arange(400), rating).mean() < 0.02


def test_information_counts_ratings_not_rows():
    # Two rows with two columns of which only the first tells the ratings apart.
    table = table_of(telling=[0.0, 1.0, 0.0], mute=[5.0, 5.0, 9.0])
    row = np.array([0] * 500 + [1] * 500)
    rating = np.array([1.0] * 500 + [5.0] * 500)

    found = mutual_information(table, row, rating)

    assert found == pytest.approx([np.log(2), 0.0], abs=0.01)
