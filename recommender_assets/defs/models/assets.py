"""The two models, each with a rating head and a ranking head."""

from typing import Any, Literal

import dagster as dg

from recommender_assets.defs.features.assets import TRAINING_POOL, user_item_matrix
from recommender_assets.defs.models.launchpad import changes, launchpad_fields
from recommender_assets.defs.owners import OWNERS
from recommender_assets.defs.resources import end_mlflow_run
from recommender_assets.settings import Settings, load_settings

CONFIGURED = load_settings().models


@dg.asset(
    deps=[user_item_matrix],
    group_name="models",
    owners=OWNERS,
    kinds={"python", "numpy", "mlflow"},
    pool=TRAINING_POOL,
    hooks={end_mlflow_run},
    config_schema=launchpad_fields(CONFIGURED.svd),
    code_version="1",
)
def svd_model(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], mlflow: dg.ResourceParam[Any]
) -> dg.MaterializeResult[None]:
    """Matrix factorisation with biases (stars) and unconstrained iALS (order), trained outside the hold-out."""
    return _train("svd", context, settings, mlflow)


@dg.asset(
    deps=[user_item_matrix],
    group_name="models",
    owners=OWNERS,
    kinds={"python", "numpy", "mlflow"},
    pool=TRAINING_POOL,
    hooks={end_mlflow_run},
    config_schema=launchpad_fields(CONFIGURED.nmf),
    code_version="1",
)
def nmf_model(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], mlflow: dg.ResourceParam[Any]
) -> dg.MaterializeResult[None]:
    """Non-negative factorisation of the ratings (stars) and non-negative iALS (order), trained outside the hold-out."""
    return _train("nmf", context, settings, mlflow)


def _train(
    algorithm: Literal["svd", "nmf"], context: dg.AssetExecutionContext, settings: Settings, mlflow: Any
) -> dg.MaterializeResult[None]:
    from recommender_assets.presentation.plots import png_of, training_curves
    from recommender_assets.presentation.tables import key_value_table
    from recommender_assets.promotion.contenders import train_candidate
    from recommender_assets.promotion.registry import Registry
    from recommender_assets.promotion.tracking_server import run_address
    from recommender_assets.promotion.training_run import TrainingRun, position_tags
    from recommender_assets.training.hyper_parameters import recorded_parameters, with_hyper_parameters

    asked = changes(context.op_execution_context.op_config, getattr(CONFIGURED, algorithm))
    settings = with_hyper_parameters(settings, algorithm, asked)
    registry, parent = Registry(settings), mlflow.active_run()
    parameters = recorded_parameters(settings, algorithm) | {"seed": settings.training.seed}
    with TrainingRun(registry, algorithm, parameters, parent.info.run_id if parent else None) as run:
        candidate = train_candidate(algorithm, settings, run.progress)
        manifest, curves = candidate.manifest, training_curves(candidate.curves)
        run.log_model(candidate.directory, manifest, settings.root)
        run.log_image(png_of(curves), "training_curves")
    mlflow.set_tags(position_tags(manifest.position))
    return dg.MaterializeResult(
        metadata={
            **manifest.metrics,
            "version": manifest.version,
            "dagster/uri": str(candidate.directory),
            "mlflow_run": dg.MetadataValue.url(run_address(settings, registry.experiment_id, run.run_id)),
            "hyper_parameters": dg.MetadataValue.md(key_value_table(manifest.hyper_parameters)),
            "training_curves": dg.MetadataValue.md(curves),
        }
    )
