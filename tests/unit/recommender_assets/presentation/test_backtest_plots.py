from recommender_assets.evaluation.backtest import BacktestMonth
from recommender_assets.presentation.backtest_plots import backtest_plot

MONTHS = [
    BacktestMonth(month="2019-12", training_pairs=5, test_pairs=3),
    BacktestMonth(
        month="2020-01",
        training_pairs=900,
        test_pairs=40,
        metrics={"svd": {"rmse": 0.9}, "nmf": {"rmse": 0.95}},
        floors={"rmse": {"item_mean": 1.0}},
    ),
    BacktestMonth(month="2020-02", training_pairs=940, test_pairs=9, metrics={"svd": {"rmse": 0.85}}),
]


def test_a_curve_shows_the_months_that_have_figures() -> None:
    whole = backtest_plot("rmse", MONTHS)
    assert whole.startswith("![rmse by month](data:image/png;base64,")
    assert whole == backtest_plot("rmse", MONTHS[1:])
    assert whole != backtest_plot("rmse", MONTHS[:2])


def test_no_figures_are_an_empty_plot() -> None:
    assert backtest_plot("rmse", MONTHS[:1]).startswith("![rmse by month]")
