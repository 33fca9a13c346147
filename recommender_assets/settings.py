"""Settings of the offline half: one typed struct per section of `config.yaml`."""

import datetime as dt
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from recommender_serving.engine.config import (
    ApiSettings,
    ConfigError,
    EventWeights,
    RatingScale,
    RecommendationLogSettings,
    StorageSettings,
    StreamingSettings,
    convert_value,
    read_config,
    recommendation_log_section,
    require_positive,
    section,
)
from recommender_serving.engine.experiment_definition import ExperimentDefinition


def _month_start(field: str, value: str) -> dt.datetime:
    try:
        return dt.datetime.strptime(value, "%Y-%m").replace(tzinfo=dt.UTC)
    except ValueError:
        raise ValueError(f"{field} must be a month like 2014-12, got {value!r}") from None


def _require_share(struct: msgspec.Struct, *fields: str) -> None:
    for field in fields:
        if not 0 < getattr(struct, field) < 1:
            raise ValueError(f"{field} must lie between 0 and 1, got {getattr(struct, field)}")


def _require_not_negative(struct: msgspec.Struct, *fields: str) -> None:
    for field in fields:
        if not getattr(struct, field) >= 0:
            raise ValueError(f"{field} must not be negative, got {getattr(struct, field)}")


_MAY_BE_ZERO = ("alpha", "bias_regularization", "implicit_regularization", "validation_share")


class SparkSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Spark is started: master URL, folder with the Delta and Kafka jars, and further Spark properties.

    `stream_conf` goes over `conf` for what runs long: `recommender stream` and `training.engine: spark`.
    """

    master: str = "local[*]"
    jars_directory: str = ".local/jars/spark"
    conf: dict[str, str] = {}
    stream_conf: dict[str, str] = {}


class HistoryColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of the source's columns by field of an event; an empty one is absent (then `rating` is the event type)."""

    user_id: str = "user_id"
    item_id: str = "item_id"
    rating: str = "rating"
    timestamp: str = "timestamp"
    event_type: str = ""
    event_id: str = ""

    def __post_init__(self) -> None:
        for field in ("user_id", "item_id", "timestamp"):
            if not getattr(self, field):
                raise ValueError(f"{field} must name a column of the source, got {getattr(self, field)!r}")


class CatalogueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The catalogue beside a CSV or Parquet history, in the same format: its path and the names of its columns.

    Attributes:
        path: a file; empty = no catalogue, items then have no titles.
        item_id, title, categories, year: names of columns; an empty one is absent.
        category_separator: between the categories of an item, where they are one text.
    """

    path: str = ""
    item_id: str = "item_id"
    title: str = "title"
    categories: str = "categories"
    year: str = ""
    category_separator: str = "|"


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The imported past: where it is, and its first and last month (`YYYY-MM`, both included).

    Attributes:
        source: `movielens` (built in; ratings after the last month are replayed as events), `csv` or `parquet`.
        path: a file or a folder of files; CSV may be compressed (`.gz`).
        delimiter: between the values of a CSV row.
        columns: names of the source's columns.
        catalogue: the items' titles and categories.
        first_month, last_month: both empty = as in the source, found out by `recommender init-tables`.
    """

    source: Literal["movielens", "csv", "parquet"] = "movielens"
    path: str = ""
    delimiter: str = ","
    columns: HistoryColumns = HistoryColumns()
    catalogue: CatalogueSettings = CatalogueSettings()
    first_month: str = "1995-01"
    last_month: str = "2014-12"

    def __post_init__(self) -> None:
        if (self.source == "movielens") == bool(self.path):
            needed = "must be empty for source movielens" if self.path else f"is required for source {self.source}"
            raise ValueError(f"path {needed}, got {self.path!r}")
        if not self.first_month and not self.last_month and self.source != "movielens":
            return
        for field, value in (("first_month", self.first_month), ("last_month", self.last_month)):
            _month_start(field, value)
        if self.first_month > self.last_month:
            raise ValueError(f"first_month {self.first_month} is later than last_month {self.last_month}")

    @property
    def start(self) -> dt.datetime:
        """First instant of the first month, UTC."""
        return _month_start("first_month", self.first_month)

    @property
    def end(self) -> dt.datetime:
        """First instant after the last month, UTC."""
        last = _month_start("last_month", self.last_month)
        return (last + dt.timedelta(days=32)).replace(day=1)


class SvdSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hyper-parameters of the `svd` model: its rating head (SGD) and its ranking head (unconstrained iALS).

    Attributes:
        factors: length of a vector, in both heads.
        learning_rate: of the first epoch.
        regularization: SGD penalty on factors.
        epochs: passes over the ratings.
        learning_rate_decay: the learning rate is multiplied by it after every epoch.
        bias_regularization: SGD penalty on biases.
        initial_deviation: standard deviation of the factors at the start.
        implicit_term: whether what a user has observed counts beside how it was rated (SVD++).
        implicit_regularization: SGD penalty on the implicit factors of a user's items, per visit of the user.
        validation_share: share of the training ratings that decides after how many epochs to stop (see
            `fit_rating_svd`); 0 trains for all `epochs`, in half the time.
        user_regularization: penalty on a user's factors in the closed-form user step.
        user_bias_regularization: penalty on a user's bias there.
        ranking_regularization: penalty on a user's factors in the ranking head.
        ranking_item_regularization: penalty on an item's factors there.
        unobserved_weight: weight of a pair without any interaction, against the strength of one with.
        ranking_iterations: alternations between users and items.
    """

    factors: int = 100
    learning_rate: float = 0.01
    regularization: float = 0.1
    epochs: int = 100
    learning_rate_decay: float = 0.98
    bias_regularization: float = 0.2
    initial_deviation: float = 0.02
    implicit_term: bool = False
    implicit_regularization: float = 0.2
    validation_share: float = 0.0
    user_regularization: float = 5.0
    user_bias_regularization: float = 3.0
    ranking_regularization: float = 8.0
    ranking_item_regularization: float = 4.0
    unobserved_weight: float = 0.15
    ranking_iterations: int = 12

    def __post_init__(self) -> None:
        numbers = [field for field in self.__struct_fields__ if field != "implicit_term"]
        require_positive(self, *(field for field in numbers if field not in _MAY_BE_ZERO))
        _require_not_negative(self, *(field for field in numbers if field in _MAY_BE_ZERO))
        if self.validation_share >= 1:
            raise ValueError(f"validation_share must be less than 1, got {self.validation_share}")


class NmfSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hyper-parameters of the `nmf` model: its rating head (alternating NNLS) and its non-negative ranking head.

    Attributes:
        factors: length of a vector, in both heads.
        alpha: penalty that draws all factors of the rating head towards zero.
        beta_loss: the loss of the rating head.
        regularization: penalty that draws users and items of the rating head towards their mean vector.
        iterations: alternations between users and items.
        user_regularization: the penalty towards the mean user in the last, exact user step.
        ranking_regularization: penalty on a user's factors in the ranking head.
        ranking_item_regularization: penalty on an item's factors there.
        unobserved_weight: weight of a pair without any interaction, against the strength of one with.
        ranking_iterations: alternations between users and items.
    """

    factors: int = 50
    alpha: float = 0.0001
    beta_loss: Literal["frobenius"] = "frobenius"
    regularization: float = 10.0
    iterations: int = 20
    user_regularization: float = 10.0
    ranking_regularization: float = 4.0
    ranking_item_regularization: float = 6.0
    unobserved_weight: float = 0.15
    ranking_iterations: int = 12

    def __post_init__(self) -> None:
        numbers = [field for field in self.__struct_fields__ if field != "beta_loss"]
        require_positive(self, *(field for field in numbers if field not in _MAY_BE_ZERO))
        _require_not_negative(self, *(field for field in numbers if field in _MAY_BE_ZERO))


class ModelsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `models`: one entry per algorithm."""

    svd: SvdSettings = msgspec.field(default_factory=SvdSettings)
    nmf: NmfSettings = msgspec.field(default_factory=NmfSettings)


class IngestionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the offset sensor starts a run: as soon as one of its rules holds; 0 switches a rule off.

    Attributes:
        after_records: unread records of all partitions.
        after_lag: unread records of one partition.
        after_seconds: for how long some record has been unread.
        report_seconds: least time between two runs that only report what `recommender stream` ingested.
    """

    after_records: int = 1
    after_lag: int = 0
    after_seconds: float = 0.0
    report_seconds: float = 60.0

    def __post_init__(self) -> None:
        _require_not_negative(self, *self.__struct_fields__)
        if not (self.after_records or self.after_lag or self.after_seconds):
            raise ValueError("one of after_records, after_lag and after_seconds must be greater than 0, got 0 for all")


class MaintenanceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Care of the tables by `maintenance_job` and `recommender maintain`.

    Attributes:
        schedule: when the job runs, as a cron expression (UTC).
        retention_hours: how long files that no longer belong to a table are kept; a run that reads an older version
            of a table must be over by then.
        keep_interactions_days: events older than this are removed, by their time stamp; rejected records by the time
            of their Kafka record; 0 = kept for ever.
    """

    schedule: str = "15 3 * * *"
    retention_hours: int = 168
    keep_interactions_days: int = 0

    def __post_init__(self) -> None:
        if len(self.schedule.split()) != 5:
            raise ValueError(f"schedule must be a cron expression of five fields, got {self.schedule!r}")
        if self.retention_hours < 1:
            raise ValueError(f"retention_hours must be at least 1, got {self.retention_hours}")
        _require_not_negative(self, "keep_interactions_days")


class TrainingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Engine, seed, hold-out, and when to train again: as soon as one of the rules holds; 0 switches a rule off.

    Attributes:
        engine: `local` (compiled, in one process) or `spark` (MLlib's ALS on the executors of `spark.master`).
        seed: of everything random.
        hold_out_share: share of (user, item) pairs that never train item factors.
        retrain_after_interactions: accepted since the latest promotion decision.
        retrain_after_share: the same as a share of the pairs that were learned from then.
        retrain_after_seconds: age of that decision, if anything at all was accepted since.
        retrain_attempts: failed runs in a row after which retraining waits for a person.
    """

    engine: Literal["local", "spark"] = "local"
    seed: int = 0
    hold_out_share: float = 0.1
    retrain_after_interactions: int = 1_000
    retrain_after_share: float = 0.0
    retrain_after_seconds: float = 0.0
    retrain_attempts: int = 5

    def __post_init__(self) -> None:
        rules = ("retrain_after_interactions", "retrain_after_share", "retrain_after_seconds")
        _require_not_negative(self, *rules)
        if not any(getattr(self, rule) for rule in rules):
            raise ValueError(f"one of {', '.join(rules)} must be greater than 0, got 0 for all")
        require_positive(self, "retrain_attempts")
        _require_share(self, "hold_out_share")


class FeaturesSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Feature selection and reduction: columns kept by mutual information, and the share of dimensions kept of them."""

    selected_columns: int = 65
    correlation_limit: float = 0.99
    kept_share: float = 0.33

    def __post_init__(self) -> None:
        require_positive(self, "selected_columns")
        _require_share(self, "correlation_limit", "kept_share")


class EvaluationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is measured on the hold-out: `rating`, `rerank`, `catalogue`, `leave_one_out`."""

    protocols: tuple[Literal["rating", "rerank", "catalogue", "leave_one_out"], ...] = ("rating", "rerank", "catalogue")

    def __post_init__(self) -> None:
        if not self.protocols or len(set(self.protocols)) < len(self.protocols):
            raise ValueError(f"protocols must name each protocol once and at least one, got {list(self.protocols)}")


class LiveGuardrailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the service's metrics under a champion bring back the champion before.

    Attributes:
        services: address of every replica, like `http://10.0.0.7:8000`, or a name that stands for all of them; empty =
            the one of section `api`.
        error_share: largest share of requests for recommendations that fail with 500 or more.
        p99_milliseconds: time within which 99 % of them must be answered.
        popular_share: largest share of lists that are the popular one; 1 allows all.
        minimum_requests: with fewer nothing is judged.
        grace_minutes: after a promotion, in which nothing is counted.
    """

    services: tuple[str, ...] = ()
    error_share: float = 0.05
    p99_milliseconds: float = 500.0
    popular_share: float = 0.95
    minimum_requests: int = 200
    grace_minutes: float = 1.0

    def __post_init__(self) -> None:
        for address in self.services:
            if not address.startswith(("http://", "https://")):
                raise ValueError(f"services must be http or https addresses, got {address!r}")
        for field in ("error_share", "popular_share"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field} must lie between 0 and 1, got {getattr(self, field)}")
        require_positive(self, "p99_milliseconds", "minimum_requests")
        _require_not_negative(self, "grace_minutes")


class PromotionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a candidate replaces the champion.

    Attributes:
        metric: the primary metric; whether lower or higher is better follows from it.
        minimum_gain: the whole paired interval of the gain in it must lie above this.
        confidence: of the intervals.
        guardrails: metric -> largest fall against the champion, as a share of the champion's value.
        limits: metric -> worst value that is allowed at all, also for the first champion.
        live_guardrails: when a champion is taken out of service again.
    """

    metric: str = "rmse"
    minimum_gain: float = 0.0
    confidence: float = 0.95
    guardrails: dict[str, float] = msgspec.field(
        default_factory=lambda: {"catalogue_ndcg_at_10": 0.05, "catalogue_coverage_at_20": 0.5}
    )
    limits: dict[str, float] = msgspec.field(
        default_factory=lambda: {"fold_in_error": 1e-5, "scoring_milliseconds": 50.0}
    )
    live_guardrails: LiveGuardrailSettings = LiveGuardrailSettings()

    def __post_init__(self) -> None:
        _require_not_negative(self, "minimum_gain")
        _require_share(self, "confidence")
        for metric, fall in self.guardrails.items():
            if not 0 < fall < 1:
                raise ValueError(f"guardrails.{metric} must lie between 0 and 1, got {fall}")
        for metric, limit in self.limits.items():
            if not math.isfinite(limit):
                raise ValueError(f"limits.{metric} must be finite, got {limit}")


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
        _require_share(self, "unknown_item_share", "density", "explained_r2")
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


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the offline half reads from `config.yaml`, validated."""

    storage: StorageSettings
    ratings: RatingScale
    weights: EventWeights
    streaming: StreamingSettings
    spark: SparkSettings
    history: HistorySettings
    ingestion: IngestionSettings = IngestionSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    models: ModelsSettings
    training: TrainingSettings
    features: FeaturesSettings
    evaluation: EvaluationSettings
    promotion: PromotionSettings
    checks: ChecksSettings = ChecksSettings()
    experiments: dict[str, ExperimentDefinition] = {}
    recommendation_log: RecommendationLogSettings = RecommendationLogSettings()
    mlflow: MlflowSettings
    dagster: DagsterSettings
    monitoring: MonitoringSettings = MonitoringSettings()
    api: ApiSettings = ApiSettings()

    @property
    def root(self) -> Path:
        """Folder (absolute) below which tables, models and the champion live."""
        return Path(self.storage.root).absolute()

    @property
    def dagster_address(self) -> str:
        """Where Dagster's web server answers."""
        return self.monitoring.dagster_address or f"http://127.0.0.1:{self.dagster.port}"

    @property
    def service_addresses(self) -> tuple[str, ...]:
        """Where the replicas of the service answer."""
        host = "127.0.0.1" if self.api.host == "0.0.0.0" else self.api.host  # noqa: S104 - listens everywhere
        return self.promotion.live_guardrails.services or (f"http://{host}:{self.api.port}",)

    @property
    def mlflow_tracking_uri(self) -> str:
        """Where MLflow keeps runs and registered models."""
        return self.mlflow.tracking_uri or f"sqlite:///{self.root}/mlflow/mlflow.db"


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and validate `config.yaml` with its `RECOMMENDER__SECTION__KEY` overrides.

    Raises:
        ConfigError: naming the key's path, the value and what was expected.
    """
    config = read_config(path, environ)
    return Settings(
        storage=section(config, "storage", StorageSettings),
        ratings=section(config, "ratings", RatingScale),
        weights=section(config, "events.weights", EventWeights),
        streaming=section(config, "streaming", StreamingSettings),
        spark=section(config, "spark", SparkSettings),
        history=section(config, "history", HistorySettings),
        ingestion=section(config, "ingestion", IngestionSettings),
        maintenance=section(config, "maintenance", MaintenanceSettings),
        models=section(config, "models", ModelsSettings),
        training=section(config, "training", TrainingSettings),
        features=section(config, "features", FeaturesSettings),
        evaluation=section(config, "evaluation", EvaluationSettings),
        promotion=section(config, "promotion", PromotionSettings),
        api=section(config, "api", ApiSettings),
        checks=section(config, "checks", ChecksSettings),
        experiments=_experiments(config),
        recommendation_log=recommendation_log_section(config),
        mlflow=section(config, "mlflow", MlflowSettings),
        dagster=section(config, "dagster", DagsterSettings),
        monitoring=section(config, "monitoring", MonitoringSettings),
    )


def _experiments(config: Mapping[str, Any]) -> dict[str, ExperimentDefinition]:
    """Section `experiments`: name -> definition. Writing one down does not start it."""
    definitions = {}
    for name, fields in (config.get("experiments") or {}).items():
        path = f"experiments.{name}"
        if not isinstance(fields, dict):
            raise ConfigError(f"{path}: expected a mapping, got {fields!r}")
        if "name" in fields:
            raise ConfigError(f"{path}.name: unknown key, {name!r} is the experiment's name")
        definitions[str(name)] = convert_value({**fields, "name": str(name)}, path, ExperimentDefinition)
    return definitions
