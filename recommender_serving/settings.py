"""Settings of the service: one typed struct per section of `config.yaml` that it reads."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from recommender_serving.engine.config import (
    ApiSettings,
    RatingScale,
    StorageSettings,
    StreamingSettings,
    read_config,
    require_positive,
    section,
)


class ChampionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the service follows the champion.

    Attributes:
        poll_interval_seconds: How often the champion's pointer is read.
        refused_retry_seconds: How long a version that was refused as damaged is left alone before it is tried again.
    """

    poll_interval_seconds: float = 0.5
    refused_retry_seconds: float = 10.0

    def __post_init__(self) -> None:
        require_positive(self, "poll_interval_seconds", "refused_retry_seconds")


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
