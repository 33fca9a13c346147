import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.features.feature_columns import FeatureTable, group_means, group_sums


def test_sums_and_means_by_group():
    group, values = np.array([0, 2, 2, 2]), np.array([1.0, 2.0, 3.0, 7.0])

    assert group_sums(group, 4).tolist() == [1, 0, 3, 0]
    assert group_sums(group, 4, values).tolist() == [1, 0, 12, 0]
    assert group_means(group, 4, values, prior=-1.0).tolist() == [1, -1, 4, -1]


def test_means_are_drawn_to_the_prior_of_their_group():
    found = group_means(np.array([0, 0]), 2, np.array([4.0, 4.0]), pseudo_rows=2.0, prior=np.array([2.0, 5.0]))

    assert found.tolist() == [3.0, 5.0]


def test_selection_keeps_names_and_values_together():
    table = FeatureTable.from_columns({"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0]), "c": np.array([5.0, 6.0])})

    chosen = table.select(np.array([2, 0]))

    assert chosen.names == ("c", "a")
    assert chosen.values.tolist() == [[5.0, 1.0], [6.0, 2.0]]


GROUPED = st.lists(st.tuples(st.integers(0, 5), st.floats(-5, 5)), max_size=20)


@given(GROUPED, st.floats(0, 9), st.floats(-3, 3))
def test_sums_and_means_equal_a_loop(rows, pseudo_rows, prior):
    group, values = np.array([g for g, _ in rows], dtype=np.int32), np.array([v for _, v in rows], dtype=np.float64)

    means = group_means(group, 6, values, pseudo_rows=pseudo_rows, prior=prior)
    sums = group_sums(group, 6, values)

    for number in range(6):
        inside = [value for g, value in rows if g == number]
        weight = len(inside) + pseudo_rows
        expected = (sum(inside) + pseudo_rows * prior) / weight if weight > 0 else prior
        assert means[number] == pytest.approx(expected, abs=1e-9)
        assert sums[number] == pytest.approx(sum(inside), abs=1e-9)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="dimensions"):
        FeatureTable.from_columns({"a": np.zeros(2), "b": np.zeros(3)})
