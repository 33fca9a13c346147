"""Both candidates and the champion, measured on the same hold-out."""

import dagster as dg

from recommender_assets.defs.conditions import FOLLOWS_A_NEW_MODEL
from recommender_assets.defs.features.assets import TRAINING_POOL, user_item_matrix
from recommender_assets.defs.interactions.partitions import history_months
from recommender_assets.defs.models.assets import nmf_model, svd_model
from recommender_assets.defs.owners import OWNERS
from recommender_assets.defs.resources import end_mlflow_run
from recommender_assets.settings import Settings


@dg.asset(
    deps=[user_item_matrix, svd_model, nmf_model],
    group_name="evaluation",
    owners=OWNERS,
    automation_condition=FOLLOWS_A_NEW_MODEL,
    kinds={"python", "numpy", "mlflow"},
    pool=TRAINING_POOL,
    hooks={end_mlflow_run},
    code_version="1",
)
def evaluation_report(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """Errors, ranking quality and coverage of both candidates and the champion, with intervals, floors and curves."""
    from recommender_assets.presentation.contest_report import contest_report
    from recommender_assets.presentation.pages import page
    from recommender_assets.promotion.contenders import hold_contest
    from recommender_assets.promotion.contest import save_contest
    from recommender_assets.promotion.registry import Registry

    contest = hold_contest(settings)
    path = save_contest(settings.root, contest)
    sections = contest_report(contest, settings.promotion.metric)
    registry = Registry(settings)
    for standing in contest.candidates:
        registry.log_standing(standing)
        registry.log_text(
            standing.version, page(f"Evaluation of {standing.version}", sections), "evaluation/report.html"
        )
        registry.log_text(standing.version, path.read_text(encoding="utf-8"), "evaluation/contest.json")
    return dg.MaterializeResult(
        metadata={
            **{f"{c.algorithm}_{name}": value for c in contest.candidates for name, value in c.metrics.items()},
            "dagster/uri": str(path),
            "hold_out_pairs": contest.hold_out,
            **{name: dg.MetadataValue.md(text) for name, text in sections.items()},
        }
    )


@dg.asset(
    deps=[user_item_matrix],
    group_name="evaluation",
    owners=OWNERS,
    kinds={"python", "numpy"},
    pool=TRAINING_POOL,
    code_version="1",
    partitions_def=history_months,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def backtest_report(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult[None]:
    """Both algorithms as they would have been in a month of the past: trained on what was before, measured on it.

    A backfill over months is one run; it draws the quality over time of all months backtested so far.
    """
    from recommender_assets.evaluation.backtest import BACKTEST_METRICS, backtest_month, load_backtests, save_backtest
    from recommender_assets.features.matrix import load_matrix, matrix_directory
    from recommender_assets.presentation.backtest_plots import backtest_plot
    from recommender_assets.training.engines import engine

    matrix, fit = load_matrix(matrix_directory(settings.root)), engine(settings)
    keys = context.partition_keys
    for number, key in enumerate(keys, start=1):
        window = history_months.time_window_for_partition_key(key)
        month = backtest_month(matrix, window.start, window.end, settings, fit)
        save_backtest(settings.root, month)
        context.log.info("%s (%d of %d): %s", key, number, len(keys), month.metrics or "too little data")
    months = load_backtests(settings.root)
    return dg.MaterializeResult(
        metadata={
            "months": len(months),
            "months_with_figures": sum(bool(month.metrics) for month in months),
            "dagster/uri": str(settings.root / "backtest"),
            **{metric: dg.MetadataValue.md(backtest_plot(metric, months)) for metric in BACKTEST_METRICS},
        }
    )
