from pathlib import Path

from recommender_assets.ingestion.spark_session import spark_conf
from recommender_assets.settings import load_settings as load_assets_settings
from recommender_serving.settings import load_settings

ROOT = Path(__file__).parents[3]


def test_the_profile_for_a_cluster_is_valid_for_both_halves_and_has_no_sizes_of_a_laptop() -> None:
    profile = ROOT / "deploy" / "spark" / "config.yaml"
    settings = load_assets_settings(profile, {})
    assert load_settings(profile, {}).storage == settings.storage
    conf = spark_conf(settings)
    assert conf["spark.master"] == "spark://spark-master:7077"
    assert "spark.jars" not in conf
    laptop = load_assets_settings(ROOT / "config.yaml", {}).spark.conf
    assert not laptop.keys() & conf.keys()
