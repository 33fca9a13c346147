"""Settings of the service: one typed struct per section of `config.yaml` that it reads."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from recommender_serving.engine.config import RatingScale, StorageSettings, StreamingSettings, read_config, section


def _require_positive(struct: msgspec.Struct, *fields: str) -> None:
    for field in fields:
        if not getattr(struct, field) > 0:
            raise ValueError(f"{field} must be greater than 0, got {getattr(struct, field)}")


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the service listens and what one call may ask of it.

    Attributes:
        host: Address to listen on; `0.0.0.0` offers the service to other machines.
        port: TCP port.
        max_recommendations: Longest list that a call may ask for.
        max_body_bytes: Largest body that `POST /events` takes.
        event_timeout_seconds: How long `POST /events` waits for Kafka's acknowledgement before it answers 503.
        cached_lists: Rendered lists kept; one dies with its user's next event or with the model.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_recommendations: int = 20
    max_body_bytes: int = 1_048_576
    event_timeout_seconds: float = 5.0
    cached_lists: int = 20_000

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must lie in 0..65535 (0 = any free port), got {self.port}")
        _require_positive(self, "max_recommendations", "max_body_bytes", "event_timeout_seconds", "cached_lists")


class ChampionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the service follows the champion.

    Attributes:
        poll_interval_seconds: How often the champion's pointer is read.
        refused_retry_seconds: How long a version that was refused as damaged is left alone before it is tried again.
    """

    poll_interval_seconds: float = 0.5
    refused_retry_seconds: float = 10.0

    def __post_init__(self) -> None:
        _require_positive(self, "poll_interval_seconds", "refused_retry_seconds")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the service reads from `config.yaml`, validated."""

    storage: StorageSettings = StorageSettings()
    ratings: RatingScale = RatingScale()
    streaming: StreamingSettings = StreamingSettings()
    api: ApiSettings = ApiSettings()
    champion: ChampionSettings = ChampionSettings()

    @property
    def root(self) -> Path:
        """Folder (absolute) below which the champion lives."""
        return Path(self.storage.root).absolute()


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and validate `config.yaml` with its `RECOMMENDER__SECTION__KEY` overrides.

    Raises:
        ConfigError: naming the key's path, the value and what was expected.
    """
    config = read_config(path, environ)
    return Settings(
        storage=section(config, "storage", StorageSettings),
        ratings=section(config, "ratings", RatingScale),
        streaming=section(config, "streaming", StreamingSettings),
        api=section(config, "api", ApiSettings),
        champion=section(config, "champion", ChampionSettings),
    )
