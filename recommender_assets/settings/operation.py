"""Sections `checks`, `mlflow`, `dagster` and `monitoring`: what is watched, and where."""

import msgspec

from recommender_assets.settings.rules import require_share
from recommender_serving.engine.config import require_positive


class ChecksSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is still usual; beyond it an asset check asks a person to look.

    Attributes:
        fresh_seconds: age of the latest accepted event, and of the tables made from events.
        champion_fresh_seconds: age of the latest promotion decision.
        usual_factor: how many times more or fewer events a day may bring than the median of the days before.
        recent_events: how many of the latest events are compared with what was there before.
        rating_drift: population stability index of their ratings.
        unknown_item_share: share of them whose item the catalogue lacks.
        density: least share of all (user, item) pairs that is known.
        explained_r2: least R2 of reduced features on rows that they were not made from.
        converged_step: greatest relative change of the loss in the last step of a training.
    """

    fresh_seconds: float = 86_400.0
    champion_fresh_seconds: float = 604_800.0
    usual_factor: float = 4.0
    recent_events: int = 10_000
    rating_drift: float = 0.25
    unknown_item_share: float = 0.1
    density: float = 1e-6
    explained_r2: float = 0.7
    converged_step: float = 0.01

    def __post_init__(self) -> None:
        require_positive(self, "recent_events", "rating_drift", "converged_step")
        for field in ("fresh_seconds", "champion_fresh_seconds"):
            if getattr(self, field) < 60:
                raise ValueError(f"{field} must be at least 60, got {getattr(self, field)}")
        require_share(self, "unknown_item_share", "density", "explained_r2")
        if self.usual_factor <= 1:
            raise ValueError(f"usual_factor must be greater than 1, got {self.usual_factor}")


class MlflowSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """MLflow: tracking store (empty = sqlite below `storage.root`), experiment, and the port of its UI in the demo."""

    tracking_uri: str = ""
    experiment: str = "recommender"
    port: int = 5000


class DagsterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dagster's own settings.

    Attributes:
        port: of the UI in the demo.
        sensor_interval_seconds: pause between two looks of a sensor.
        failure_webhook: address to which every failed run is posted; empty = none.
        failure_webhook_seconds: how long an answer may take.
    """

    port: int = 3001
    sensor_interval_seconds: int = 5
    failure_webhook: str = ""
    failure_webhook_seconds: float = 5.0

    def __post_init__(self) -> None:
        require_positive(self, "sensor_interval_seconds", "failure_webhook_seconds")
        if self.failure_webhook and not self.failure_webhook.startswith(("http://", "https://")):
            raise ValueError(f"failure_webhook must be an http or https address, got {self.failure_webhook!r}")


class MonitoringSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Prometheus finds the metrics of the offline half.

    Attributes:
        host: address to listen on; `0.0.0.0` offers the metrics to other machines.
        port: of `recommender metrics`.
        stream_port: of `recommender stream`'s own metrics; 0 serves none.
        dagster_address: of Dagster's web server, for `recommender metrics`; empty = `dagster.port` on this machine.
        prometheus_port, grafana_port: of what `recommender monitor` starts.
    """

    host: str = "127.0.0.1"
    port: int = 9108
    stream_port: int = 9109
    dagster_address: str = ""
    prometheus_port: int = 9090
    grafana_port: int = 3000

    def __post_init__(self) -> None:
        for field in ("port", "stream_port", "prometheus_port", "grafana_port"):
            if not 0 <= getattr(self, field) <= 65_535:
                raise ValueError(f"{field} must lie in 0..65535, got {getattr(self, field)}")
        if self.dagster_address and not self.dagster_address.startswith(("http://", "https://")):
            raise ValueError(f"dagster_address must begin with http:// or https://, got {self.dagster_address!r}")
