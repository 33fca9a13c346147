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
    ],
)
def test_a_bad_value_is_refused_with_its_path(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(SHIPPED, environ={variable: value})


def test_defaults_are_valid() -> None:
    assert ApiSettings().port == 8000
    assert ChampionSettings().poll_interval_seconds == 0.5
