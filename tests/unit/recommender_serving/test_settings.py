import re
from pathlib import Path

import pytest

from recommender_serving.engine.config import ApiSettings, ConfigError
from recommender_serving.settings import ChampionSettings, load_settings

SHIPPED = Path(__file__).parents[3] / "config.yaml"


def test_shipped_configuration_has_the_documented_defaults() -> None:
    settings = load_settings(SHIPPED, environ={})
    assert (settings.api.host, settings.api.port, settings.api.max_recommendations) == ("127.0.0.1", 8000, 20)
    assert settings.root.is_absolute()


def test_environment_overrides_every_section_that_the_service_reads(tmp_path: Path) -> None:
    settings = load_settings(
        SHIPPED,
        environ={
            "RECOMMENDER__API__PORT": "9000",
            "RECOMMENDER__CHAMPION__POLL_INTERVAL_SECONDS": "0.1",
            "RECOMMENDER__STORAGE__ROOT": str(tmp_path),
            "RECOMMENDER__STREAMING__TOPIC": "other",
            "RECOMMENDER__RATINGS__MAX": "10",
        },
    )
    assert settings.api.port == 9000
    assert settings.champion.poll_interval_seconds == 0.1
    assert settings.root == tmp_path
    assert settings.streaming.topic == "other"
    assert settings.ratings.max == 10


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("RECOMMENDER__API__PORT", "x", "api.port"),
        ("RECOMMENDER__API__PORT", "70000", "65535"),
        ("RECOMMENDER__API__MAX_RECOMMENDATIONS", "0", "max_recommendations must be greater than 0, got 0"),
        ("RECOMMENDER__API__COLOUR", "red", "api.colour"),
        ("RECOMMENDER__CHAMPION__POLL_INTERVAL_SECONDS", "-1", "poll_interval_seconds must be greater than 0"),
        ("RECOMMENDER__ACCESS__REQUESTS_PER_SECOND", "-1", "requests_per_second must be 0"),
        ("RECOMMENDER__ACCESS__REQUESTS_PER_SECOND", ".inf", "requests_per_second must be 0"),
        ("RECOMMENDER__ACCESS__BURST", "0", "burst must be greater than 0"),
        ("RECOMMENDER__ACCESS__ALLOWED_ORIGINS", "[shop.example]", "allowed_origins must be like https://shop"),
        ("RECOMMENDER__ACCESS__ALLOWED_ORIGINS", "[https://shop.example/]", "allowed_origins must be like"),
        ("RECOMMENDER__ACCESS__KEYS", "[{name: shop, scopes: [read]}]", r"access.keys\[0\]"),
        ("RECOMMENDER__ACCESS__KEYS_FILE", "/nowhere/keys.yaml", "access.keys_file: /nowhere/keys.yaml"),
        ("RECOMMENDER__LOGGING__LEVEL", "loud", "logging.level"),
        ("RECOMMENDER__RECOMMENDATION_LOG__SHARE", "-0.1", r"share must lie in 0\.\.1"),
        ("RECOMMENDER__RECOMMENDATION_LOG__TOPIC", "user_interactions", "another topic than streaming.topic"),
    ],
)
def test_a_bad_value_is_refused_with_its_path(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(SHIPPED, environ={variable: value})


def test_defaults_are_valid() -> None:
    assert ApiSettings().port == 8000
    assert ChampionSettings().poll_interval_seconds == 0.5


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("API__HOST", "7", "api.host"),
        ("API__PORT", "-1", "api: port"),
        ("API__MAX_BODY_BYTES", "0", "api: max_body_bytes"),
        ("API__EVENT_TIMEOUT_SECONDS", "0", "api: event_timeout_seconds"),
        ("API__EVENT_TIMEOUT_SECONDS", ".inf", "api: event_timeout_seconds must be finite, got inf"),
        ("API__EVENT_TIMEOUT_SECONDS", ".nan", "api: event_timeout_seconds"),
        ("API__CACHE_MEGABYTES", "0", "api: cache_megabytes"),
        ("API__MAX_LIVE_EVENTS", "0", "api: max_live_events"),
        ("CHAMPION__REFUSED_RETRY_SECONDS", "0", "champion: refused_retry_seconds"),
        ("CHAMPION__POLL_INTERVAL_SECONDS", ".inf", "champion: poll_interval_seconds must be finite"),
        ("CHAMPION__COLOUR", "red", "champion.colour"),
        ("STORAGE__ROOT", "' '", "storage: root"),
        ("RATINGS__MIN", "9", "ratings: min"),
        ("RATINGS__MAX", ".inf", "ratings: min"),
        ("STREAMING__TOPIC", "a b", "streaming: topic"),
        ("STREAMING__KAFKA_BOOTSTRAP_SERVERS", "nowhere", "streaming: kafka_bootstrap_servers"),
        ("STREAMING__PARTITIONS", "0", "streaming: partitions"),
        ("NONSENSE__KEY", "1", "nonsense: unknown section"),
    ],
)
def test_every_bad_setting_is_named_by_section_and_key(variable: str, value: str, key: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(key)):
        load_settings(SHIPPED, environ={f"RECOMMENDER__{variable}": value})


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("", encoding="utf-8")
    settings = load_settings(path, environ={})
    assert settings.api == ApiSettings()
    assert settings.champion == ChampionSettings()
    assert settings.root == Path(settings.storage.root).absolute()


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("api: {port: 8123}", encoding="utf-8")
    assert load_settings(environ={"RECOMMENDER_CONFIG": str(path)}).api.port == 8123


def test_keys_come_from_the_configuration_the_environment_and_a_file(tmp_path: Path) -> None:
    entries = [f'{{name: k{digit}, sha256: "{digit * 64}", scopes: [read]}}' for digit in "01"]
    file = tmp_path / "keys.yaml"
    file.write_text(f"- {entries[0]}", encoding="utf-8")
    environ = {"RECOMMENDER__ACCESS__KEYS": f"[{entries[1]}]", "RECOMMENDER__ACCESS__KEYS_FILE": str(file)}
    assert [key.name for key in load_settings(SHIPPED, environ=environ).access.keys] == ["k1", "k0"]
    environ["RECOMMENDER__ACCESS__KEYS"] = f"[{entries[0]}]"
    with pytest.raises(ConfigError, match=r"access\.keys_file: keys must differ in name"):
        load_settings(SHIPPED, environ=environ)


def test_without_keys_the_shipped_configuration_limits_nobody() -> None:
    access = load_settings(SHIPPED, environ={}).access
    assert (access.keys, access.requests_per_second, access.allowed_origins) == ([], 0, [])
