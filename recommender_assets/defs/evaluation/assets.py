"""Both candidates and the champion, measured on the same hold-out."""

import dagster as dg

from recommender_assets.defs.conditions import FOLLOWS_A_NEW_MODEL
from recommender_assets.defs.features.assets import TRAINING_POOL, user_item_matrix
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
