"""How far ingestion is behind the topic: watermarks of the broker against the ledger's position."""

from collections.abc import Mapping

from recommender_assets.automation.ingestion_trigger import IngestionCursor, follow_ledger
from recommender_assets.ingestion.topic_position import topic_state
from recommender_assets.monitoring.metric import MetricDefinition, Samples
from recommender_assets.settings import Settings

LAG = MetricDefinition(
    "recommender_ingestion_lag_records",
    "gauge",
    "Records of the topic after the ledger's position, by partition.",
    ("partition",),
)
TOPIC_METRICS = (LAG,)

_TIMEOUT_S = 3.0


class TopicMetrics:
    """Asks the broker for watermarks; of the ledger only rows that are new are read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cursor = IngestionCursor()

    def read(self) -> Mapping[MetricDefinition, Samples]:
        """Lag by partition.

        Raises:
            BrokerUnreachableError: no broker answers within three seconds.
            TopicMissingError: there is no such topic.
        """
        streaming = self._settings.streaming
        self._cursor = follow_ledger(self._settings.root, streaming.topic, self._cursor)
        position = self._cursor.position(streaming.topic)
        topic_id, marks = topic_state(streaming, streaming.topic, _TIMEOUT_S)
        read = position.next_offsets if position.topic_id == topic_id else {}
        unread = {partition: mark.high - read.get(partition, mark.low) for partition, mark in marks.items()}
        return {LAG: {(str(partition),): max(count, 0) for partition, count in unread.items()}}
