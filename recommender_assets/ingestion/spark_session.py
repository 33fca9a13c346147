import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from recommender_assets.settings import Settings


class JarsMissingError(RuntimeError):
    """The folder with the Delta and Kafka jars is empty."""


def spark_conf(settings: Settings) -> dict[str, str]:
    """Properties of a Spark session that can read Kafka and write Delta, without any download.

    An empty `spark.jars_directory` means that the Spark installation brings those jars itself, as on a cluster.
    Python workers run this interpreter unless `PYSPARK_PYTHON` names another: Spark offers no property for it.

    Raises:
        JarsMissingError: `spark.jars_directory` holds no jar.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = {
        "spark.master": settings.spark.master,
        "spark.app.name": "recommender",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.showConsoleProgress": "false",
    }
    if settings.spark.jars_directory:
        conf["spark.jars"] = ",".join(_jars(Path(settings.spark.jars_directory).absolute()))
    return conf | settings.spark.conf


def spark_session(settings: Settings) -> SparkSession:
    """The session of this process, started at the first call.

    Raises:
        JarsMissingError: `spark.jars_directory` holds no jar.
    """
    builder = SparkSession.builder
    for key, value in spark_conf(settings).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def start_session(settings: Settings, **conf: str) -> SparkSession:
    """Start Spark in this process, with `conf` over `spark.conf`; only errors are logged."""
    builder = SparkSession.builder
    for key, value in (spark_conf(settings) | conf).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _jars(directory: Path) -> list[str]:
    jars = sorted(str(path) for path in directory.glob("*.jar"))
    if not jars:
        raise JarsMissingError(
            f"spark.jars_directory: {directory} holds no jar; run `python -m recommender_assets.local.jars`"
        )
    return jars
