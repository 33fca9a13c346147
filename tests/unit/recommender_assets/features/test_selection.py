import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

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


TABLES = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 6)),
    elements=st.sampled_from([-1e6, -2.5, 0.0, 1e-3, 1.0, 7.0]),
)


@given(TABLES)
def test_scaling_is_bounded_reaches_both_ends_and_keeps_the_order(values):
    names = tuple(map(str, range(values.shape[1])))

    found = scaled(FeatureTable(names, values))

    assert found.names == names
    for before, after in zip(values.T, found.values.T, strict=True):
        assert 0 <= after.min() <= after.max() <= 1
        if before.min() == before.max():
            assert not after.any()
        else:
            assert (after.min(), after.max()) == (0.0, 1.0)
            np.testing.assert_array_equal(np.argsort(before, kind="stable"), np.argsort(after, kind="stable"))


@given(TABLES, st.sampled_from([0.3, 0.9]))
def test_kept_columns_are_pairwise_below_the_limit_and_dropped_ones_are_not(values, limit):
    table = scaled(FeatureTable(tuple(map(str, range(values.shape[1]))), values))

    kept = uncorrelated_columns(table, limit).tolist()

    def correlation(one: int, other: int) -> float:
        left, right = (table.values[:, i] - table.values[:, i].mean() for i in (one, other))
        return abs(left @ right) / math.sqrt((left @ left) * (right @ right))

    for position in range(values.shape[1]):
        if np.ptp(table.values[:, position]) == 0:
            assert position not in kept
            continue
        greatest = max((correlation(position, other) for other in kept if other < position), default=0.0)
        assert greatest <= limit + 1e-9 if position in kept else greatest > limit - 1e-9


def naive_information(values: list[float], ratings: list[float]) -> float:
    n, pairs = len(values), Counter(zip(values, ratings, strict=True))
    of_value, of_rating = Counter(values), Counter(ratings)
    plug_in = sum(c / n * math.log(c * n / (of_value[v] * of_rating[r])) for (v, r), c in pairs.items())
    return max(0.0, plug_in - (len(of_value) - 1) * (len(of_rating) - 1) / (2 * n))


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1.0, 2.5, 5.0])), min_size=60, max_size=90))
def test_information_of_columns_with_few_values_equals_the_formula(pairs):
    values, ratings = [float(v) for v, _ in pairs], [r for _, r in pairs]
    assume(min(Counter(values).values()) >= len(values) / 8)  # each value then has a bin of its own

    (found,) = mutual_information(table_of(column=values), np.arange(len(values)), np.array(ratings))

    assert found == pytest.approx(naive_information(values, ratings), abs=1e-9)


def test_the_more_a_column_is_blurred_the_less_it_tells():
    random = np.random.default_rng(3)
    rating = random.integers(1, 6, 4_000).astype(float)
    columns = {str(noise): (rating + noise * random.normal(size=4_000)).tolist() for noise in (0.1, 0.7, 2.0, 20.0)}

    found = mutual_information(table_of(**columns), np.arange(4_000), rating)

    assert (np.diff(found) < 0).all()


def test_information_does_not_change_when_a_column_is_stretched():
    random = np.random.default_rng(4)
    rating = random.integers(1, 6, 500).astype(float)
    column = rating + random.normal(size=500)

    found = mutual_information(table_of(plain=column, stretched=np.exp(3 * column)), np.arange(500), rating)

    assert found[0] == found[1] > 0.1


def test_equal_ratings_and_no_ratings_tell_nothing():
    table = table_of(a=[1.0, 2.0, 3.0], b=[0.0, 1.0, 0.0])

    assert mutual_information(table, np.array([0, 1, 2]), np.full(3, 4.0)).tolist() == [0.0, 0.0]
    assert mutual_information(table, np.empty(0, dtype=np.int32), np.empty(0)).tolist() == [0.0, 0.0]
