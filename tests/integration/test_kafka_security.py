"""A real broker that encrypts and asks for a login: commands, service and Spark get in by `streaming.security`."""

import datetime as dt
import ipaddress
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import KafkaException, Producer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyspark.sql import SparkSession

from recommender_assets.ingestion.topic_position import BrokerUnreachableError, topic_state, watermarks
from recommender_assets.local.broker import HOST, LocalBroker, broker_answers
from recommender_assets.local.topic import create_topic
from recommender_assets.settings import Settings
from recommender_serving.engine.config import StreamingSettings
from recommender_serving.engine.kafka_security import KafkaSecurity
from recommender_serving.follow_status import FollowState, FollowStatus
from recommender_serving.topic_follower import TopicFollower

LOGIN_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"


class SecuredBroker(LocalBroker):
    """The local broker behind TLS and SASL/PLAIN."""

    def __init__(self, directory: Path, jars: Path, security: KafkaSecurity, key_and_certificate: Path) -> None:
        super().__init__(directory, port=0, jars=jars)
        self.security = security
        self._key_and_certificate = key_and_certificate

    @property
    def streaming(self) -> StreamingSettings:
        return StreamingSettings(kafka_bootstrap_servers=self.bootstrap_servers, security=self.security)

    def _write_properties(self) -> Path:
        path = super()._write_properties()
        text = path.read_text(encoding="utf-8").replace("PLAINTEXT://", "SASL_SSL://")
        text = text.replace("inter.broker.listener.name=PLAINTEXT", "inter.broker.listener.name=SASL_SSL")
        more = {
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{LOGIN_MODULE} required username="broker" '
            'password="of-broker" user_broker="of-broker" user_recommender="of-recommender";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._key_and_certificate),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.security.ca_file,
        }
        path.write_text(text + "".join(f"{key}={value}\n" for key, value in more.items()), encoding="utf-8")
        return path

    def _wait_until_ready(self, deadline: float) -> None:
        while not broker_answers(self.streaming):
            assert self._process is not None
            assert self._process.poll() is None, self._log_tail()
            assert time.monotonic() < deadline, self._log_tail()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def broker(jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    folder = tmp_path_factory.mktemp("secured")
    ca_file, key_and_certificate = write_certificate(folder)
    security = KafkaSecurity(
        protocol="SASL_SSL", mechanism="PLAIN", username="recommender", password="of-recommender", ca_file=str(ca_file)
    )
    with SecuredBroker(folder / "kafka", jars / "kafka", security, key_and_certificate) as broker:
        yield broker


@pytest.fixture
def settings(project_settings: Settings, broker: SecuredBroker, tmp_path: Path) -> Settings:
    streaming = msgspec.structs.replace(broker.streaming, topic=f"events-{tmp_path.name.replace('_', '-')}")
    return msgspec.structs.replace(project_settings, streaming=streaming)


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and a file with its key before it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    no_password = serialization.NoEncryption()
    public = certificate.public_bytes(encoding)
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password)
    paths = folder / "ca.pem", folder / "broker.pem"
    for path, text in zip(paths, (public, private + public), strict=True):
        path.write_bytes(text)
    return paths


def test_commands_service_and_spark_get_in(settings: Settings, spark: SparkSession) -> None:
    streaming = settings.streaming
    assert create_topic(settings)
    producer = Producer(streaming.producer_properties)
    for number in range(3):
        producer.produce(streaming.topic, f"{number}".encode(), partition=0)
    assert producer.flush(20) == 0
    assert watermarks(streaming, streaming.topic)[0].high == 3

    options = {**streaming.spark_options, "subscribe": streaming.topic, "startingOffsets": "earliest"}
    rows = spark.read.format("kafka").options(**options).load().select("value").collect()
    assert sorted(row.value.decode() for row in rows) == ["0", "1", "2"]

    values: list[bytes] = []
    reports: list[FollowStatus] = []
    follower = TopicFollower(
        streaming, lambda records: values.extend(record.value for record in records), reports.append
    )
    follower.start()
    follower.follow("", {0: 0})
    deadline = time.monotonic() + 20
    while len(values) < 3:
        assert time.monotonic() < deadline, reports
        time.sleep(0.05)
    follower.stop()
    assert sorted(values) == [b"0", b"1", b"2"]
    assert not [report for report in reports if report.state is FollowState.UNREACHABLE]


@pytest.mark.parametrize("change", [{"password": "wrong"}, {"protocol": "SASL_PLAINTEXT", "ca_file": ""}])
def test_a_wrong_password_and_a_missing_encryption_do_not_get_in(settings: Settings, change: dict[str, str]) -> None:
    security = msgspec.structs.replace(settings.streaming.security, **change)
    streaming = msgspec.structs.replace(settings.streaming, security=security)
    assert not broker_answers(streaming)
    with pytest.raises((KafkaException, BrokerUnreachableError)):
        topic_state(streaming, streaming.topic, timeout_s=0.5)
