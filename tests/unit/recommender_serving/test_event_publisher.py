import asyncio
import time

from recommender_serving.engine.config import StreamingSettings
from recommender_serving.event_publisher import EventPublisher, Outgoing

NOBODY = StreamingSettings(kafka_bootstrap_servers="127.0.0.1:9", topic="events")


async def test_without_a_broker_every_event_is_given_up_in_time_with_a_reason() -> None:
    publisher = EventPublisher(NOBODY, timeout_seconds=0.5)
    publisher.start()
    started = time.monotonic()
    deliveries = await publisher.publish([Outgoing("u1", b"{}"), Outgoing("u2", b"{}")])
    assert time.monotonic() - started < 3
    assert [delivery.record for delivery in deliveries] == [None, None]
    assert all(delivery.error for delivery in deliveries)
    await asyncio.to_thread(publisher.stop)


async def test_nothing_to_publish_needs_no_broker() -> None:
    publisher = EventPublisher(NOBODY, timeout_seconds=0.5)
    publisher.start()
    assert await publisher.publish([]) == []
    await asyncio.to_thread(publisher.stop)
