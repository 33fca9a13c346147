import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import msgspec
import pytest
from pyspark.sql import SparkSession

from recommender_assets.ingestion.spark_session import spark_conf
from recommender_assets.local.broker import LocalBroker
from recommender_assets.local.jars import resolve_jars
from recommender_assets.local.topic import create_topic
from recommender_assets.settings import Settings, load_settings

PROJECT = Path(__file__).parents[1]

# A slow machine must not fail a test, and a test must not fail on one run and pass on the next.
hypothesis.settings.register_profile("reproducible", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def project_settings() -> Settings:
    """The shipped configuration, whatever the working directory and the environment say."""
    settings = load_settings(PROJECT / "config.yaml", environ={})
    jars = str(PROJECT / settings.spark.jars_directory)
    return msgspec.structs.replace(settings, spark=msgspec.structs.replace(settings.spark, jars_directory=jars))


@pytest.fixture(scope="session")
def jars() -> Path:
    """Folder with the resolved jars of Spark and Kafka."""
    directory = PROJECT / ".local" / "jars"
    resolve_jars(directory, PROJECT / "requirements" / "jars.lock")
    return directory


@pytest.fixture(scope="session")
def kafka_bootstrap(jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a real broker that lives as long as the test session."""
    with LocalBroker(tmp_path_factory.mktemp("kafka"), port=0, jars=jars / "kafka") as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="session")
def spark(jars: Path, project_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark session of the tests, with the shipped laptop configuration."""
    builder = SparkSession.builder
    for key, value in spark_conf(project_settings).items():
        builder = builder.config(key, value)
    builder = builder.config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def settings(project_settings: Settings, kafka_bootstrap: str, tmp_path: Path) -> Settings:
    """The shipped settings with a storage root and topic names of the test's own; the topics do not exist yet."""
    return msgspec.structs.replace(
        project_settings,
        storage=msgspec.structs.replace(project_settings.storage, root=str(tmp_path / "data")),
        streaming=msgspec.structs.replace(
            project_settings.streaming,
            kafka_bootstrap_servers=kafka_bootstrap,
            topic=f"user_interactions_{uuid.uuid4().hex[:8]}",
            partitions=1,
        ),
        recommendation_log=msgspec.structs.replace(
            project_settings.recommendation_log, topic=f"recommendation_log_{uuid.uuid4().hex[:8]}"
        ),
    )


@pytest.fixture
def topic(settings: Settings) -> str:
    """The test's own topic, created with the configured number of partitions and broker timestamps."""
    create_topic(settings)
    return settings.streaming.topic
