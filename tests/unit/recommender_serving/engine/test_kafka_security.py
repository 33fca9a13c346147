from pathlib import Path
from typing import Any

import pytest

from recommender_serving.engine.config import ConfigError, StreamingSettings, section
from recommender_serving.engine.kafka_security import KafkaSecurity

LOGIN = {"protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "username": "recommender", "password": "it's \"secret\\"}


def streaming(**security: Any) -> StreamingSettings:
    return section({"streaming": {"security": security}}, "streaming", StreamingSettings)


def test_without_the_section_nothing_is_said_to_either_client() -> None:
    plain = StreamingSettings(kafka_bootstrap_servers="a:1")
    assert plain.client_properties == {"bootstrap.servers": "a:1"}
    assert plain.spark_options == {"kafka.bootstrap.servers": "a:1"}


def test_a_login_is_told_to_both_clients() -> None:
    told = streaming(**LOGIN, ca_file="/ca.pem")
    assert told.client_properties == {
        "bootstrap.servers": "localhost:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "recommender",
        "sasl.password": "it's \"secret\\",
        "ssl.ca.location": "/ca.pem",
    }
    assert told.spark_options == {
        "kafka.bootstrap.servers": "localhost:9092",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "SCRAM-SHA-512",
        "kafka.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="recommender" password="it\'s \\"secret\\\\";',
        "kafka.ssl.truststore.type": "PEM",
        "kafka.ssl.truststore.location": "/ca.pem",
    }
    assert told.producer_properties.items() >= told.client_properties.items()


def test_a_certificate_of_the_client_is_told_to_both_clients() -> None:
    told = streaming(protocol="SSL", certificate_file="/me.pem")
    assert told.client_properties["ssl.certificate.location"] == told.client_properties["ssl.key.location"] == "/me.pem"
    assert told.spark_options["kafka.ssl.keystore.location"] == "/me.pem"
    assert "sasl.username" not in told.client_properties


def test_a_password_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n", encoding="utf-8")
    login = {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "me", "password_file": str(path)}
    told = streaming(**login)
    assert told.client_properties["sasl.password"] == "secret"
    assert told.spark_options["kafka.sasl.jaas.config"].endswith(
        'PlainLoginModule required username="me" password="secret";'
    )
    path.unlink()
    with pytest.raises(FileNotFoundError, match="password"):
        _ = told.client_properties


@pytest.mark.parametrize(
    ("security", "message"),
    [
        ({"protocol": "TLS"}, r"streaming.security.protocol: .*'TLS'"),
        ({"protocol": "SASL_SSL"}, "username is required with protocol SASL_SSL, got ''"),
        ({"username": "me"}, "username must be empty with protocol PLAINTEXT, got 'me'"),
        ({"protocol": "SASL_SSL", "username": "me"}, "one of password and password_file is required"),
        (LOGIN | {"password_file": "/p"}, "one of password and password_file is required"),
        ({"protocol": "SSL", "password": "x"}, "password and password_file must be empty with protocol SSL"),
        ({"ca_file": "/ca.pem"}, "ca_file must be empty with protocol PLAINTEXT, got '/ca.pem'"),
        (
            LOGIN | {"protocol": "SASL_PLAINTEXT", "certificate_file": "/c"},
            "certificate_file must be empty with protocol",
        ),
        ({"sasl_username": "me"}, "streaming.security.sasl_username: unknown key"),
    ],
)
def test_what_does_not_go_together_is_refused(security: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        streaming(**security)
    assert LOGIN["password"] not in str(raised.value)


def test_the_environment_can_hold_the_password() -> None:
    from recommender_assets.settings import load_settings

    environ = {
        f"RECOMMENDER__STREAMING__SECURITY__{name.upper()}": value
        for name, value in (LOGIN | {"password": "secret"}).items()
    }
    settings = load_settings(Path(__file__).parents[4] / "config.yaml", environ)
    assert settings.streaming.security == KafkaSecurity(**(LOGIN | {"password": "secret"}))  # type: ignore[arg-type]
