"""Sections `ingestion` and `maintenance`: when events are taken in, and how their tables are cared for."""

import msgspec

from recommender_assets.settings.rules import require_not_negative


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
        require_not_negative(self, *self.__struct_fields__)
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
        require_not_negative(self, "keep_interactions_days")
