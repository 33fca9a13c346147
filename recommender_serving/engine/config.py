"""Loader of `config.yaml`: environment overrides, strict conversion, and the sections both halves share."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from recommender_serving.engine.kafka_security import KafkaSecurity
from recommender_serving.engine.yaml_document import YamlError, parse_yaml

T = TypeVar("T")

SECTIONS: frozenset[str] = frozenset(
    {
        "access",
        "api",
        "champion",
        "checks",
        "dagster",
        "evaluation",
        "events",
        "experiments",
        "features",
        "history",
        "ingestion",
        "logging",
        "maintenance",
        "mlflow",
        "models",
        "monitoring",
        "promotion",
        "ratings",
        "recommendation_log",
        "spark",
        "storage",
        "streaming",
        "training",
    }
)
EVENT_SECTIONS: frozenset[str] = frozenset({"weights"})
OVERRIDE_PREFIX = "RECOMMENDER__"

_AT_PATH = re.compile(r"^(?P<problem>.*?) - at (?:`key` in )?`\$(?P<path>.*)`$", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_SOME_ENTRY = "..."  # what msgspec writes instead of the key of a mapping


class ConfigError(ValueError):
    """The configuration breaks a rule; the message names the key's path, the value and what was expected."""


def require_positive(struct: msgspec.Struct, *fields: str) -> None:
    """Raise `ValueError` for the first of the fields that is not a finite number greater than 0."""
    for field in fields:
        value = getattr(struct, field)
        if not value > 0:
            raise ValueError(f"{field} must be greater than 0, got {value}")
        if value == math.inf:
            raise ValueError(f"{field} must be finite, got {value}")


def _require_topic_name(topic: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic) or topic in {".", ".."}:
        raise ValueError(f"topic must be 1-249 characters of A-Z a-z 0-9 . _ -, got {topic!r}")


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `storage`: the folder below which tables, models and the champion live."""

    root: str = ".local/data"

    def __post_init__(self) -> None:
        if not self.root.strip():
            raise ValueError(f"root must be the path of a folder, got {self.root!r}")
        if "://" in self.root:
            raise ValueError(f"root must be a folder of a (shared) file system, not an object store, got {self.root!r}")


class RatingScale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `ratings`: lowest and highest explicit rating, both included."""

    min: float = 0.5
    max: float = 5.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min) and math.isfinite(self.max) and self.min < self.max):
            raise ValueError(f"min must be a finite number below max, got min {self.min} and max {self.max}")


class EventWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `events.weights`: strength of one interaction, greater than 0.

    A rating's strength grows linearly from `lowest_rating` at `ratings.min` to `rating` at `ratings.max`.
    """

    rating: float = 1.0
    lowest_rating: float = 0.2
    view: float = 0.1
    click: float = 0.2
    purchase: float = 1.0

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            weight = getattr(self, field)
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"{field} must be a finite number greater than 0, got {weight}")


class StreamingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `streaming`: the Kafka topic of events and how it is read in micro-batches.

    Attributes:
        kafka_bootstrap_servers: `host:port[,...]` of brokers.
        topic: Topic of events.
        partitions: When `recommender init-tables` creates the topic.
        batch_interval: Pause between two micro-batches of `recommender stream`, e.g. `10 seconds`.
        max_records_per_batch: Records that one micro-batch reads at most.
    """

    kafka_bootstrap_servers: str = "localhost:9092"
    security: KafkaSecurity = KafkaSecurity()
    topic: str = "user_interactions"
    partitions: int = 1
    batch_interval: str = "10 seconds"
    max_records_per_batch: int = 500_000

    def __post_init__(self) -> None:
        servers = self.kafka_bootstrap_servers
        if not all(re.fullmatch(r"\S+:\d{1,5}", server) for server in servers.split(",")):
            raise ValueError(f"kafka_bootstrap_servers must be host:port[,...], got {servers!r}")
        _require_topic_name(self.topic)
        if not re.fullmatch(r"[1-9]\d* (millisecond|second|minute|hour)s?", self.batch_interval):
            raise ValueError(f"batch_interval must be like '10 seconds', got {self.batch_interval!r}")
        require_positive(self, "partitions", "max_records_per_batch")

    @property
    def client_properties(self) -> dict[str, str | int | float | bool]:
        """What every librdkafka client is told: where Kafka is, and who asks.

        Raises:
            OSError: `security.password_file` cannot be read.
        """
        return {"bootstrap.servers": self.kafka_bootstrap_servers, **self.security.client_properties()}

    @property
    def spark_options(self) -> dict[str, str]:
        """The same as options of Spark's Kafka source.

        Raises:
            OSError: `security.password_file` cannot be read.
        """
        return {"kafka.bootstrap.servers": self.kafka_bootstrap_servers, **self.security.spark_options()}

    @property
    def producer_properties(self) -> dict[str, str | int | float | bool]:
        """What everything that produces events tells librdkafka.

        A user's partition must not depend on the client, since order and `forget` hold within a partition: this
        partitioner computes what Java clients do.
        """
        return {
            **self.client_properties,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
        }


class RecommendationLogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `recommendation_log`: which served lists go to Kafka, and from there to the table of that name.

    Attributes:
        topic: Kafka topic of served lists.
        partitions: when `recommender init-tables` creates the topic.
        share: Share of the users whose lists outside experiments are logged, the same users on every replica and every
            day; lists of experiments are always logged.
        queue_records: Lists that a replica holds while Kafka does not take them; beyond that they are dropped.
        ingest_interval_seconds: Least time between two Dagster runs that bring the log into its table.
    """

    topic: str = "recommendation_log"
    partitions: int = 2
    share: float = 0.1
    queue_records: int = 20_000
    ingest_interval_seconds: float = 60.0

    def __post_init__(self) -> None:
        _require_topic_name(self.topic)
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must lie in 0..1, got {self.share}")
        require_positive(self, "partitions", "queue_records", "ingest_interval_seconds")


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `api`: where the service listens and what one call may ask of it.

    Attributes:
        host: Address to listen on; `0.0.0.0` offers the service to other machines.
        port: TCP port, 0 = any free one.
        max_recommendations: Longest list that a call may ask for.
        max_body_bytes: Largest body that `POST /events` takes.
        event_timeout_seconds: How long `POST /events` waits for Kafka's acknowledgement before it answers 503.
        cache_megabytes: Memory, per model, for rendered lists; one dies with its user's next event or with the model.
        max_live_events: Events since the champion that are held, about 600 bytes each; beyond, the users who have been
            silent for longest are served as the champion knows them, and `/health/ready` says so.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_recommendations: int = 20
    max_body_bytes: int = 1_048_576
    event_timeout_seconds: float = 5.0
    cache_megabytes: float = 64.0
    max_live_events: int = 500_000

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must lie in 0..65535 (0 = any free port), got {self.port}")
        require_positive(self, "max_recommendations", "max_body_bytes", "event_timeout_seconds")
        require_positive(self, "cache_megabytes", "max_live_events")


def read_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read the file and apply the overrides `RECOMMENDER__SECTION__KEY[__KEY]` of the environment.

    Args:
        path: the file; else `$RECOMMENDER_CONFIG`, else `config.yaml` in the working directory.
        environ: the environment, `os.environ` unless given. Names are case-insensitive, values are YAML.

    Raises:
        ConfigError: the file is missing or is not YAML, or a top-level section is unknown or not a mapping.
    """
    environ = os.environ if environ is None else environ
    path = path or Path(environ.get("RECOMMENDER_CONFIG") or "config.yaml")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a readable configuration file, got {error}") from error
    document = _parsed(str(path), text)
    config = {} if document is None else document
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, got {_shown(config)}")
    for name, value in environ.items():
        if name.upper().startswith(OVERRIDE_PREFIX):
            _override(config, name, value)
    for key, value in config.items():
        if key not in SECTIONS:
            raise ConfigError(f"{key}: unknown section, expected one of {', '.join(sorted(SECTIONS))}")
        if value is not None and not isinstance(value, dict):
            raise ConfigError(f"{key}: expected a mapping, got {_shown(value)}")
    for key in config.get("events") or {}:
        if key not in EVENT_SECTIONS:
            raise ConfigError(f"events.{key}: unknown key, expected {', '.join(EVENT_SECTIONS)}")
    return config


def section(config: Mapping[str, Any], path: str, type_: type[T]) -> T:
    """Convert the section at a dotted path, strictly; a section that is left out has its defaults.

    Raises:
        ConfigError: e.g. `models.svd.factors: expected int, got str 'x'`.
    """
    value: Any = config
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else value
        value = {} if value is None else value
    return convert_value(value, path, type_)


def convert_value(value: Any, path: str, type_: type[T]) -> T:
    """Convert a part of the configuration, strictly.

    Args:
        value: what YAML gave.
        path: where it stands, for messages.
        type_: what it has to be.

    Raises:
        ConfigError: as for `section`.
    """
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(path, value, type_, str(error))) from error


def recommendation_log_section(config: Mapping[str, Any]) -> RecommendationLogSettings:
    """Section `recommendation_log`.

    Raises:
        ConfigError: also if its topic is that of the events.
    """
    log = section(config, "recommendation_log", RecommendationLogSettings)
    if log.topic == section(config, "streaming", StreamingSettings).topic:
        raise ConfigError(f"recommendation_log.topic: expected another topic than streaming.topic, got {log.topic!r}")
    return log


def _override(config: dict[str, Any], name: str, value: str) -> None:
    keys = name[len(OVERRIDE_PREFIX) :].split("__")
    if len(keys) < 2 or not all(keys):
        raise ConfigError(f"{name}: expected a name like {OVERRIDE_PREFIX}SECTION__KEY, got {name!r}")
    target = config
    for depth, key in enumerate(keys[:-1]):
        found = _existing_key(target, key)
        target[found] = target.get(found) if target.get(found) is not None else {}
        target = target[found]
        if not isinstance(target, dict):
            inner = ".".join(keys[: depth + 1]).lower()
            raise ConfigError(f"{name}: expected {inner} to be a mapping, got {_shown(target)}")
    target[_existing_key(target, keys[-1])] = _parsed(name, value)


def _parsed(source: str, text: str) -> Any:
    try:
        return parse_yaml(text)
    except YamlError as error:
        raise ConfigError(f"{source}: expected YAML, got {error}") from error


def _existing_key(mapping: Mapping[str, Any], key: str) -> str:
    return next((found for found in mapping if str(found).lower() == key.lower()), key.lower())


def _explain(path: str, value: Any, type_: Any, message: str) -> str:
    found = _AT_PATH.match(message)
    problem = found["problem"] if found else message
    inner = found["path"] if found else ""
    for name, index in _STEP.findall(inner):
        if index == _SOME_ENTRY:
            key = _refused_key(value, _element_type(type_))
            value, inner = value[key], inner.replace(f"[{_SOME_ENTRY}]", f".{key}", 1)
        else:
            value = value[int(index)] if index else value.get(name, value) if isinstance(value, dict) else value
        type_ = next((field.type for field in _fields(type_) if field.encode_name == name), _element_type(type_))
    if unknown := _UNKNOWN_FIELD.match(problem):
        known = ", ".join(field.encode_name for field in _fields(type_))
        return f"{path}{inner}.{unknown['field']}: unknown key, expected one of {known}"
    if not problem.startswith("Expected "):
        return f"{path}{inner}: {problem}"
    expected = problem.replace("`", "").partition(", got")[0].removeprefix("Expected ")
    return f"{path}{inner}: expected {expected}, got {_shown(value)}"


def _refused_key(values: Mapping[str, Any], type_: Any) -> str:
    """The first key whose value does not convert."""
    for key, value in values.items():
        try:
            msgspec.convert(value, type_)
        except msgspec.ValidationError:
            return key
    raise AssertionError("every value converts")


def _element_type(type_: Any) -> Any:
    """Type of the elements of a list or tuple, or of the values of a mapping."""
    arguments = get_args(type_)
    return arguments[-1 if get_origin(type_) is dict else 0] if arguments else None


def _fields(type_: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(type_) if hasattr(type_, "__struct_fields__") else ()


def _shown(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r}"
