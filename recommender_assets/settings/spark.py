"""Section `spark`."""

import msgspec


class SparkSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Spark is started: master URL, folder with the Delta and Kafka jars, and further Spark properties.

    `stream_conf` goes over `conf` for what runs long: `recommender stream` and `training.engine: spark`.
    """

    master: str = "local[*]"
    jars_directory: str = ".local/jars/spark"
    conf: dict[str, str] = {}
    stream_conf: dict[str, str] = {}
