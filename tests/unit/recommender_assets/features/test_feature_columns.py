import numpy as np

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
