"""How a client proves to Kafka who it is and encrypts what it says: one setting for both client libraries."""

from pathlib import Path
from typing import Literal

import msgspec

_LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `streaming.security`: TLS and SASL.

    Attributes:
        protocol: `PLAINTEXT`, `SSL` (TLS), `SASL_PLAINTEXT` (login without encryption) or `SASL_SSL` (both).
        mechanism: How a login is proven, with the two SASL protocols.
        username: Who logs in.
        password: The password; better in the environment or in a file than in `config.yaml`.
        password_file: A file with the password, e.g. a mounted secret; "" = none.
        ca_file: PEM file with the authorities that sign the brokers' certificates; "" = those of the system (the JVM
            has its own).
        certificate_file: PEM file with this client's certificate and, before it, its private key; "" = none.
    """

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    password: str = ""
    password_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""

    def __post_init__(self) -> None:
        logs_in = self.protocol.startswith("SASL_")
        if logs_in != bool(self.username):
            rule = "is required" if logs_in else "must be empty"
            raise ValueError(f"username {rule} with protocol {self.protocol}, got {self.username!r}")
        if logs_in and bool(self.password) == bool(self.password_file):
            raise ValueError(f"one of password and password_file is required with protocol {self.protocol}")
        if not logs_in and (self.password or self.password_file):
            raise ValueError(f"password and password_file must be empty with protocol {self.protocol}")
        for field in ("ca_file", "certificate_file"):
            if getattr(self, field) and not self.protocol.endswith("SSL"):
                raise ValueError(f"{field} must be empty with protocol {self.protocol}, got {getattr(self, field)!r}")

    def client_properties(self) -> dict[str, str]:
        """What librdkafka (service, sensors, commands) is told.

        Raises:
            OSError: `password_file` cannot be read.
        """
        properties: dict[str, str] = {"security.protocol": self.protocol}
        if self.username:
            properties |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self._password(),
            }
        if self.ca_file:
            properties["ssl.ca.location"] = self.ca_file
        if self.certificate_file:
            properties |= {
                "ssl.certificate.location": self.certificate_file,
                "ssl.key.location": self.certificate_file,
            }
        return properties if self.protocol != "PLAINTEXT" else {}

    def spark_options(self) -> dict[str, str]:
        """The same for Kafka's Java client, as options of Spark's Kafka source.

        Raises:
            OSError: `password_file` cannot be read.
        """
        options: dict[str, str] = {"kafka.security.protocol": self.protocol}
        if self.username:
            options |= {
                "kafka.sasl.mechanism": self.mechanism,
                "kafka.sasl.jaas.config": f"{_LOGIN_MODULES[self.mechanism]} required "
                f"username={_quoted(self.username)} password={_quoted(self._password())};",
            }
        if self.ca_file:
            options |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.location": self.ca_file}
        if self.certificate_file:
            options |= {"kafka.ssl.keystore.type": "PEM", "kafka.ssl.keystore.location": self.certificate_file}
        return options if self.protocol != "PLAINTEXT" else {}

    def _password(self) -> str:
        return self.password or Path(self.password_file).read_text(encoding="utf-8").strip()


def _quoted(text: str) -> str:
    """A value of a JAAS configuration."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
