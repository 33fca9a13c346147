"""Both candidates and the champion, measured on the same hold-out."""

import dagster as dg

from recommender_assets.defs.features.assets import TRAINING_POOL, user_item_matrix
from recommender_assets.defs.models.assets import nmf_model, svd_model
from recommender_assets.defs.resources import end_mlflow_run
from recommender_assets.settings import Settings


@dg.asset(
    deps=[user_item_matrix, svd_model, nmf_model],
    group_name="evaluation",
    kinds={"python", "numpy", "mlflow"},
    pool=TRAINING_POOL,
    hooks={end_mlflow_run},
    code_version="1",
)
def evaluation_report(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """RMSE, ranking quality and coverage of both candidates and of the current champion, next to their floors."""
    from recommender_assets.presentation.plots import comparison
    from recommender_assets.presentation.tables import contest_table, key_value_table
    from recommender_assets.promotion.contenders import hold_contest
    from recommender_assets.promotion.contest import save_contest
    from recommender_assets.promotion.registry import Registry

    contest = hold_contest(settings)
    path = save_contest(settings.root, contest)
    registry = Registry(settings)
    for standing in contest.candidates:
        registry.log_standing(standing)
    contenders = contest.contenders
    metric = settings.promotion.metric
    return dg.MaterializeResult(
        metadata={
            **{f"{c.algorithm}_{name}": value for c in contest.candidates for name, value in c.metrics.items()},
            "dagster/uri": str(path),
            "hold_out_pairs": contest.hold_out,
            "report": dg.MetadataValue.md(contest_table(contenders)),
            "protocols": dg.MetadataValue.md(key_value_table(contest.protocols)),
            "comparison": dg.MetadataValue.md(
                comparison(
                    metric,
                    {c.version: c.metrics[metric] for c in contenders if metric in c.metrics},
                    contenders[0].floors.get(metric, {}),
                )
            ),
        }
    )
