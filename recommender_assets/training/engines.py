"""Which engine fits the item factors: this process, or Spark."""

from recommender_assets.settings import Settings
from recommender_assets.training.heads import FitHeads, fit_heads


def engine(settings: Settings) -> FitHeads:
    """The engine of `training.engine`; `spark` starts the session of `spark` unless there is one.

    Raises:
        JarsMissingError: `spark.jars_directory` holds no jar.
    """
    if settings.training.engine == "local":
        return fit_heads
    from recommender_assets.ingestion.spark_session import start_session  # noqa: PLC0415 (takes seconds to load)
    from recommender_assets.training.spark_engine import SparkEngine  # noqa: PLC0415

    return SparkEngine(start_session(settings, **settings.spark.stream_conf), settings.root / "spark-checkpoints")
