import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from recommender_assets.evaluation.backtest import BACKTEST_METRICS, backtest_month, load_backtests, save_backtest
from recommender_assets.features.pair_times import pair_times
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.heads import fit_heads
from tests.matrices import default_settings, events_table, matrix_from

SETTINGS = default_settings(
    svd=SvdSettings(factors=4, epochs=60, regularization=0.02, user_regularization=1.0, ranking_iterations=4),
    nmf=NmfSettings(factors=4, iterations=8, ranking_iterations=4),
)
DAY_US = 86_400 * 1_000_000


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def spread_matrix(n_users: int = 60, n_items: int = 40):
    """Ratings with a structure, spread over the first half of 2020."""
    random = np.random.default_rng(0)
    taste, kind = random.normal(size=(n_users, 2)), random.normal(size=(n_items, 2))
    stars = np.clip(np.round(2 * (3.0 + taste @ kind.T)) / 2, 0.5, 5.0)
    pairs = [(u, i) for u in range(n_users) for i in range(n_items) if random.random() < 0.6]
    events = events_table([(f"u{u}", f"i{i}", "rating", float(stars[u, i])) for u, i in pairs])
    start = int(instant("2020-01-01").timestamp() * 1e6)
    time = start + random.integers(0, 180 * DAY_US, len(pairs))
    column = pa.array(time).cast(pa.timestamp("us", tz="UTC"))
    return matrix_from(events.set_column(events.column_names.index("timestamp"), "timestamp", column))


def test_a_month_is_measured_by_models_that_know_only_what_was_before():
    matrix = spread_matrix()
    time = pair_times(matrix)
    start, end = instant("2020-04-01"), instant("2020-05-01")
    seen = []

    def fit(observations, n_items, hyper_parameters, seed, progress=None):
        seen.append(observations)
        return fit_heads(observations, n_items, hyper_parameters, seed)

    month = backtest_month(matrix, start, end, SETTINGS, fit)

    is_past = time < start.timestamp() * 1e6
    assert (month.month, month.training_pairs) == ("2020-04", int(is_past.sum()))
    assert month.test_pairs == int(((time >= start.timestamp() * 1e6) & (time < end.timestamp() * 1e6)).sum()) > 0
    expected = matrix.observations.select(is_past)
    for observations in seen:
        np.testing.assert_array_equal(observations.item, expected.item)
        np.testing.assert_array_equal(observations.indptr, expected.indptr)
    assert set(month.metrics) == {"svd", "nmf"}
    assert all(set(metrics) == set(BACKTEST_METRICS) for metrics in month.metrics.values())
    assert month.metrics["svd"]["rmse"] < month.floors["rmse"]["item_mean"]
    assert month.known_users == 1.0


def test_what_comes_later_changes_nothing():
    matrix = spread_matrix()
    start, end = instant("2020-03-01"), instant("2020-04-01")
    other = spread_matrix()
    later = pair_times(other) >= end.timestamp() * 1e6
    other.observations.rating[later] = 0.5

    assert backtest_month(matrix, start, end, SETTINGS) == backtest_month(other, start, end, SETTINGS)


@pytest.mark.parametrize(
    ("start", "end", "training", "test"),
    [("2019-12-01", "2020-01-01", 0, 0), ("2020-01-01", "2020-02-01", 0, 1), ("2021-01-01", "2021-02-01", 1, 0)],
    ids=["before all", "nothing to train on", "nothing to test"],
)
def test_a_month_without_enough_data_has_no_figures(start, end, training, test):
    month = backtest_month(spread_matrix(), instant(start), instant(end), SETTINGS)

    assert (month.training_pairs > 0, month.test_pairs > 0) == (bool(training), bool(test))
    assert (month.metrics, month.floors) == ({}, {})
    assert (month.known_users is None) == (not test)


def test_months_are_kept_in_order_and_replaced(tmp_path):
    assert load_backtests(tmp_path) == []
    matrix = spread_matrix()
    june = backtest_month(matrix, instant("2020-06-01"), instant("2020-07-01"), SETTINGS)
    may = backtest_month(matrix, instant("2021-05-01"), instant("2021-06-01"), SETTINGS)

    for month in (may, june, june):
        save_backtest(tmp_path, month)

    assert load_backtests(tmp_path) == [june, may]
