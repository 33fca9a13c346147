from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

_IDENTITY = ["event_id", "timestamp"]
_POSITION = ["kafka_partition", "kafka_offset"]


def duplicate_positions(events: DataFrame, earlier: DataFrame) -> DataFrame:
    """Positions (`kafka_partition`, `kafka_offset`) of events that were read before.

    Equal `event_id` and `timestamp` mean the same event. Within `events` the lowest position counts.

    Args:
        events: valid events with their positions.
        earlier: events of earlier batches, of at least the event days that occur in `events`.
    """
    keys = events.select(*_IDENTITY, *_POSITION)
    place = F.row_number().over(Window.partitionBy(*_IDENTITY).orderBy(*_POSITION))
    known = earlier.select(*_IDENTITY).distinct().withColumn("known", F.expr("true"))
    ranked = keys.withColumn("place", place).join(known, _IDENTITY, "left")
    return ranked.where("place > 1 OR known").select(*_POSITION)
