"""How this half asks a broker about its topics."""

from confluent_kafka.admin import AdminClient

from recommender_serving.engine.config import StreamingSettings

_CRITICAL_ONLY = 2


def admin_client(streaming: StreamingSettings) -> AdminClient:
    """A client that does not log: what goes wrong is raised, while librdkafka would log every refused connection too.

    Keep it in a variable until its futures are done; a temporary one ends too early.
    """
    return AdminClient({**streaming.client_properties, "log_level": _CRITICAL_ONLY})
