import os
import sys
from pathlib import Path

import msgspec
import pytest

from recommender_assets.ingestion.spark_session import JarsMissingError, spark_conf
from recommender_assets.settings import Settings, load_settings


def settings(**spark: object) -> Settings:
    loaded = load_settings(Path(__file__).parents[4] / "config.yaml", environ={})
    return msgspec.structs.replace(loaded, spark=msgspec.structs.replace(loaded.spark, **spark))


def test_all_jars_of_the_folder_are_passed_by_absolute_path(tmp_path: Path) -> None:
    for name in ("b.jar", "a.jar", "c.txt"):
        (tmp_path / name).touch()
    conf = spark_conf(settings(jars_directory=str(tmp_path)))
    assert conf["spark.jars"] == f"{tmp_path}/a.jar,{tmp_path}/b.jar"


def test_an_empty_folder_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(JarsMissingError, match=r"spark\.jars_directory.*python -m recommender_assets\.local\.jars"):
        spark_conf(settings(jars_directory=str(tmp_path)))


def test_a_cluster_that_brings_its_jars_gets_none_and_no_laptop_numbers() -> None:
    conf = spark_conf(settings(jars_directory="", master="k8s://cluster", conf={}))
    assert conf["spark.master"] == "k8s://cluster"
    assert not {"spark.jars", "spark.sql.shuffle.partitions", "spark.driver.memory"} & conf.keys()


def test_configured_properties_win() -> None:
    conf = spark_conf(settings(jars_directory="", conf={"spark.app.name": "mine", "spark.x": "1"}))
    assert (conf["spark.app.name"], conf["spark.x"]) == ("mine", "1")


def test_python_workers_run_this_interpreter_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", "/another/python")
    spark_conf(settings(jars_directory=""))
    assert os.environ["PYSPARK_PYTHON"] == "/another/python"
    monkeypatch.delenv("PYSPARK_PYTHON")
    spark_conf(settings(jars_directory=""))
    assert os.environ["PYSPARK_PYTHON"] == sys.executable


def test_delta_and_utc_are_always_on() -> None:
    conf = spark_conf(settings(jars_directory="", conf={}))
    assert conf["spark.sql.extensions"] == "io.delta.sql.DeltaSparkSessionExtension"
    assert conf["spark.sql.catalog.spark_catalog"] == "org.apache.spark.sql.delta.catalog.DeltaCatalog"
    assert conf["spark.sql.session.timeZone"] == "UTC"
