"""Settings of the service: one typed struct per section of `config.yaml` that it reads."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from recommender_serving.access.keys import KeySettings, read_keys_file, require_distinct
from recommender_serving.engine.config import (
    ApiSettings,
    ConfigError,
    RatingScale,
    RecommendationLogSettings,
    StorageSettings,
    StreamingSettings,
    read_config,
    recommendation_log_section,
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


class AccessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may call the service, how often, and from which web pages.

    Attributes:
        keys: API keys by their hashes, see `recommender-serve new-key`. Without any, everybody may read and only this
            machine may write.
        keys_file: YAML file with further keys, e.g. a mounted secret; "" = none.
        requests_per_second: How many requests a key (without keys: an address) may send; 0 = no limit.
        burst: How many of them may come at once.
        allowed_origins: Web origins whose pages may call the service (CORS), `*` = all.
        max_concurrent_requests: Requests under way beyond which further ones get 503.
        max_turn_milliseconds: How long requests that arrived together may keep each other waiting; the rest gets 503.
    """

    keys: list[KeySettings] = []
    keys_file: str = ""
    requests_per_second: float = 0.0
    burst: int = 100
    allowed_origins: list[str] = []
    max_concurrent_requests: int = 512
    max_turn_milliseconds: float = 50.0

    def __post_init__(self) -> None:
        require_positive(self, "burst", "max_concurrent_requests", "max_turn_milliseconds")
        if not 0 <= self.requests_per_second < float("inf"):
            raise ValueError(f"requests_per_second must be 0 (no limit) or greater, got {self.requests_per_second}")
        for origin in self.allowed_origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError(f"allowed_origins must be like https://shop.example or *, got {origin!r}")
        require_distinct(self.keys)


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service writes to its log, one JSON object per line.

    Attributes:
        level: `debug` has a line for every request with its path; from `info` on no line names a user.
        slow_request_milliseconds: A request that takes longer gets a line at level `warning`.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    slow_request_milliseconds: float = 1_000.0

    def __post_init__(self) -> None:
        require_positive(self, "slow_request_milliseconds")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the service reads from `config.yaml`, validated."""

    storage: StorageSettings = StorageSettings()
    ratings: RatingScale = RatingScale()
    streaming: StreamingSettings = StreamingSettings()
    recommendation_log: RecommendationLogSettings = RecommendationLogSettings()
    api: ApiSettings = ApiSettings()
    champion: ChampionSettings = ChampionSettings()
    access: AccessSettings = AccessSettings()
    logging: LogSettings = LogSettings()

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
        recommendation_log=recommendation_log_section(config),
        api=section(config, "api", ApiSettings),
        champion=section(config, "champion", ChampionSettings),
        access=_with_keys_of_file(section(config, "access", AccessSettings)),
        logging=section(config, "logging", LogSettings),
    )


def _with_keys_of_file(access: AccessSettings) -> AccessSettings:
    if not access.keys_file:
        return access
    try:
        return msgspec.structs.replace(access, keys=[*access.keys, *read_keys_file(Path(access.keys_file))])
    except ValueError as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"access.keys_file: {error}") from error
