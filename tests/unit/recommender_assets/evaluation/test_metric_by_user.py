import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.metric_by_user import MetricByUser

VALUES = st.lists(st.floats(0, 1) | st.just(math.nan), min_size=1, max_size=30)


@given(VALUES)
def test_a_mean_over_users_leaves_out_those_without_a_value(values):
    metric = MetricByUser.mean_over_users(np.array(values))

    defined = [value for value in values if not math.isnan(value)]
    assert metric.n_qualifying == len(defined)
    assert metric.value == pytest.approx(np.mean(defined) if defined else math.nan, nan_ok=True)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 25)), min_size=1, max_size=40))
def test_a_mean_over_pairs_counts_every_pair_alike_whoever_it_belongs_to(pairs):
    user, terms = (np.array(column) for column in zip(*pairs, strict=True))

    mean = MetricByUser.over_pairs(user, terms, 6)
    root = MetricByUser.over_pairs(user, terms, 6, is_root=True)

    assert mean.value == pytest.approx(terms.mean())
    assert root.value == pytest.approx(math.sqrt(terms.mean()))
    assert mean.n_qualifying == len(set(user.tolist()))
    assert len(mean.total) == 6


def test_without_a_pair_the_metric_is_undefined():
    metric = MetricByUser.over_pairs(np.empty(0, dtype=np.int64), np.empty(0), 3)

    assert math.isnan(metric.value)
    assert metric.n_qualifying == 0
