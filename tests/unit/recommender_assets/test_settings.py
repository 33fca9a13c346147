import datetime as dt
from pathlib import Path

import pytest

from recommender_assets.settings import HistorySettings, load_settings
from recommender_serving.engine.config import ConfigError

CONFIG = Path(__file__).parents[3] / "config.yaml"


def test_the_shipped_configuration_has_the_documented_defaults() -> None:
    settings = load_settings(CONFIG, {})
    assert (settings.models.svd.factors, settings.models.svd.learning_rate) == (100, 0.01)
    assert settings.models.svd.regularization == 0.1
    assert (settings.models.nmf.factors, settings.models.nmf.alpha) == (50, 0.0001)
    assert settings.streaming.kafka_bootstrap_servers == "localhost:9092"
    assert settings.streaming.batch_interval == "10 seconds"
    assert (settings.dagster.port, settings.mlflow.port) == (3001, 5000)


def test_an_environment_variable_overrides_a_key() -> None:
    settings = load_settings(CONFIG, {"RECOMMENDER__MODELS__SVD__FACTORS": "17"})
    assert settings.models.svd.factors == 17


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("RECOMMENDER__MODELS__SVD__FACTERS", "3", "models.svd.facters"),
        ("RECOMMENDER__MODELS__SVD__FACTORS", "many", "models.svd.factors"),
        ("RECOMMENDER__MODELS__NMF__FACTORS", "0", "factors must be greater than 0"),
        ("RECOMMENDER__MODELS__NMF__BETA_LOSS", "kullback-leibler", "beta_loss"),
        ("RECOMMENDER__TRAINING__HOLD_OUT_SHARE", "1.5", "hold_out_share must lie between 0 and 1"),
        ("RECOMMENDER__TRAINING__RETRAIN_AFTER_INTERACTIONS", "0", "one of retrain_after_interactions,"),
        ("RECOMMENDER__TRAINING__RETRAIN_AFTER_SHARE", "-1", "retrain_after_share must not be negative, got -1"),
        ("RECOMMENDER__TRAINING__RETRAIN_ATTEMPTS", "0", "retrain_attempts must be greater than 0"),
        ("RECOMMENDER__INGESTION__AFTER_RECORDS", "0", "one of after_records, after_lag and after_seconds"),
        ("RECOMMENDER__PROMOTION__MINIMUM_GAIN", "-1", "minimum_gain must not be negative"),
        ("RECOMMENDER__PROMOTION__CONFIDENCE", "1", "confidence must lie between 0 and 1, got 1"),
        ("RECOMMENDER__PROMOTION__GUARDRAILS__RMSE", "1.5", "guardrails.rmse must lie between 0 and 1, got 1.5"),
        ("RECOMMENDER__PROMOTION__LIVE_GUARDRAILS__ERROR_SHARE", "2", "error_share must lie between 0 and 1, got 2"),
        ("RECOMMENDER__PROMOTION__LIVE_GUARDRAILS__MINIMUM_REQUESTS", "0", "minimum_requests must be greater than 0"),
        (
            "RECOMMENDER__PROMOTION__LIVE_GUARDRAILS__SERVICES",
            "[there:8000]",
            "services must be http or https addresses",
        ),
        ("RECOMMENDER__PROMOTION__LIMITS__RMSE", ".inf", "limits.rmse must be finite, got inf"),
        ("RECOMMENDER__HISTORY__FIRST_MONTH", "1995-13", "first_month must be a month like 2014-12"),
        ("RECOMMENDER__HISTORY__LAST_MONTH", '"1990-01"', "is later than last_month"),
        ("RECOMMENDER__DAGSTER__SENSOR_INTERVAL_SECONDS", "0", "sensor_interval_seconds must be greater than 0"),
        ("RECOMMENDER__DAGSTER__FAILURE_WEBHOOK", "chat.example", "failure_webhook must be an http or https address"),
        ("RECOMMENDER__DAGSTER__FAILURE_WEBHOOK_SECONDS", "0", "failure_webhook_seconds must be greater than 0"),
        ("RECOMMENDER__CHECKS__FRESH_SECONDS", "59", "fresh_seconds must be at least 60, got 59"),
        ("RECOMMENDER__CHECKS__CHAMPION_FRESH_SECONDS", "1", "champion_fresh_seconds must be at least 60"),
        ("RECOMMENDER__CHECKS__USUAL_FACTOR", "1", "usual_factor must be greater than 1"),
        ("RECOMMENDER__CHECKS__UNKNOWN_ITEM_SHARE", "1", "unknown_item_share must lie between 0 and 1"),
        ("RECOMMENDER__CHECKS__RECENT_EVENTS", "0", "recent_events must be greater than 0"),
        ("RECOMMENDER__NOTHING__KEY", "1", "nothing"),
        ("RECOMMENDER__RECOMMENDATION_LOG__SHARE", "1.5", r"share must lie in 0\.\.1, got 1\.5"),
        ("RECOMMENDER__RECOMMENDATION_LOG__SHARE", ".nan", r"share must lie in 0\.\.1"),
        ("RECOMMENDER__RECOMMENDATION_LOG__TOPIC", "a b", "recommendation_log: topic must be 1-249 characters"),
        ("RECOMMENDER__RECOMMENDATION_LOG__TOPIC", "user_interactions", "another topic than streaming.topic"),
        ("RECOMMENDER__RECOMMENDATION_LOG__QUEUE_RECORDS", "0", "queue_records must be greater than 0"),
        ("RECOMMENDER__EXPERIMENTS__NEW_ALGORITHM_TEST__METRIC", "clicks", "experiments.new_algorithm_test.metric"),
        ("RECOMMENDER__EXPERIMENTS__NEW_ALGORITHM_TEST__NAME", "x", "name: unknown key, 'new_algorithm_test' is the"),
        ("RECOMMENDER__EXPERIMENTS__OTHER", "{}", "experiments.other: Object missing required field `variants`"),
        ("RECOMMENDER__EXPERIMENTS__OTHER", "5", "experiments.other: expected a mapping, got 5"),
        (
            "RECOMMENDER__EXPERIMENTS__NEW_ALGORITHM_TEST__VARIANTS__CONTROL__WEIGHT",
            "much",
            r"new_algorithm_test\.variants\.control\.weight: expected float, got str 'much'",
        ),
        (
            "RECOMMENDER__EXPERIMENTS__NEW_ALGORITHM_TEST__VARIANTS__TREATMENT__WEIGHTS",
            "2",
            r"new_algorithm_test\.variants\.treatment\.weights: unknown key, expected one of algorithm, version",
        ),
    ],
)
def test_a_bad_value_is_refused_with_its_key_and_the_rule(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(CONFIG, {variable: value})


@pytest.mark.parametrize(
    ("last_month", "end"),
    [("2014-12", dt.datetime(2015, 1, 1, tzinfo=dt.UTC)), ("2015-01", dt.datetime(2015, 2, 1, tzinfo=dt.UTC))],
)
def test_history_ends_with_the_last_instant_of_its_last_month(last_month: str, end: dt.datetime) -> None:
    history = HistorySettings(first_month="1995-01", last_month=last_month)
    assert history.start == dt.datetime(1995, 1, 1, tzinfo=dt.UTC)
    assert history.end == end


def test_mlflow_keeps_its_store_below_the_storage_root_unless_told_otherwise(tmp_path: Path) -> None:
    here = load_settings(CONFIG, {"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})
    assert here.mlflow_tracking_uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    elsewhere = load_settings(CONFIG, {"RECOMMENDER__MLFLOW__TRACKING_URI": "http://tracking:5000"})
    assert elsewhere.mlflow_tracking_uri == "http://tracking:5000"


def test_a_team_writes_experiments_into_the_configuration() -> None:
    traffic = {"RECOMMENDER__EXPERIMENTS__NEW_ALGORITHM_TEST__TRAFFIC_SHARE": "0.25"}
    definition = load_settings(CONFIG, traffic).experiments["new_algorithm_test"]
    assert (definition.name, definition.traffic_share) == ("new_algorithm_test", 0.25)
    assert {arm: variant.algorithm for arm, variant in definition.variants.items()} == {
        "control": "svd",
        "treatment": "nmf",
    }


def test_without_experiments_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("experiments:\n", encoding="utf-8")
    assert load_settings(path, {}).experiments == {}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("http://127.0.0.1:8000",)),
        ({"RECOMMENDER__API__HOST": "0.0.0.0", "RECOMMENDER__API__PORT": "81"}, ("http://127.0.0.1:81",)),
        ({"RECOMMENDER__PROMOTION__LIVE_GUARDRAILS__SERVICES": "[http://a:1, https://b]"}, ("http://a:1", "https://b")),
    ],
)
def test_the_guarded_service_is_that_of_section_api_unless_replicas_are_named(
    variables: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert load_settings(CONFIG, variables).service_addresses == expected
