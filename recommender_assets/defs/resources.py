"""Resources of every asset, and the executor: one process, so that the steps of a run share one Spark session."""

import warnings
from collections.abc import Callable, Generator, Iterator
from typing import Any, cast

import dagster as dg
from dagster_pyspark import LazyPySparkResource

from recommender_assets.ingestion.spark_session import spark_conf
from recommender_assets.settings import load_settings

MLFLOW_TAGS = {"application": "recommender"}


@dg.resource(required_resource_keys={"settings"}, description="Spark session, started at its first use.")
def spark(context: dg.InitResourceContext) -> LazyPySparkResource:
    """A Spark session that starts at its first use; the jars are looked for only in runs that need one."""
    return LazyPySparkResource(spark_config=spark_conf(context.resources.settings))


@dg.resource(required_resource_keys={"settings"}, description="MLflow run of the Dagster run (dagster-mlflow).")
def mlflow(context: dg.InitResourceContext) -> Iterator[Any]:
    """The MLflow run that belongs to the Dagster run; its experiment keeps artefacts beside the tracking store."""
    from recommender_assets.promotion.registry import Registry
    from recommender_assets.promotion.tracking_server import require_tracking_server

    settings = context.resources.settings
    require_tracking_server(settings)
    Registry(settings)  # creates the experiment with its artefact folder before dagster-mlflow would
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=dg.BetaWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from dagster_mlflow import mlflow_tracking

        config = {
            "mlflow_tracking_uri": settings.mlflow_tracking_uri,
            "experiment_name": settings.mlflow.experiment,
            "env": {},
            "extra_tags": MLFLOW_TAGS,
        }
        start = cast("Callable[[dg.InitResourceContext], Generator[Any]]", mlflow_tracking.resource_fn)
        tracking = start(context.replace_config(config))
        run = next(tracking)
    try:
        yield run
    finally:
        tracking.close()
        run.end_run()


def _end_mlflow_run(context: dg.HookContext, events: Any) -> dg.HookExecutionResult:
    from dagster_mlflow import end_mlflow_on_run_finished

    result: dg.HookExecutionResult = end_mlflow_on_run_finished.hook_fn(context, events)
    return result


end_mlflow_run = dg.HookDefinition(
    name="end_mlflow_on_run_finished", hook_fn=_end_mlflow_run, required_resource_keys={"mlflow"}
)
"""dagster-mlflow's hook, imported when it fires: without it a failed run would look finished in MLflow."""


@dg.definitions
def resources() -> dg.Definitions:
    """Settings, Spark, MLflow and the executor."""
    return dg.Definitions(
        resources={"settings": load_settings(), "spark": spark, "mlflow": mlflow}, executor=dg.in_process_executor
    )
