"""Whatever a topic holds, the service applies what are events, counts what are none, and goes on answering."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_serving.engine.config import RatingScale, StreamingSettings
from recommender_serving.engine.factor_model import Position
from recommender_serving.engine.live_events import LiveEvents
from recommender_serving.follow_status import Record
from recommender_serving.live_updates import LiveUpdates
from recommender_serving.metrics import Metrics
from recommender_serving.rendered_list import ListSettings
from tests.factories import make_model
from tests.unit.recommender_serving.memory_topic import MemoryTopic
from tests.unit.recommender_serving.service import Service, event_json, items_of, metric, recommend, until
from tests.unit.recommender_serving.snapshots import snapshot_of

MODEL = make_model()
NOW_MS = 1_735_689_600_000
FIELDS = ["user_id", "item_id", "rating", "timestamp", "event_type", "event_id", "ranking_id", "other"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=6,
)
plausible = {
    "user_id": st.sampled_from(["u0", "u1", "new", 7, "", "a\0"]),
    "item_id": st.sampled_from(["i00", "i01", "unheard of", 3]),
    "rating": st.sampled_from([0.5, 5, 3.5, 6, -1]),
    "timestamp": st.sampled_from(
        ["2024-06-01T00:00:00Z", 1_717_200_000, 1_717_200_000_000, "2024-06-01T00:00:00", 1e300]
    ),
    "event_type": st.sampled_from(["rating", "view", "click", "purchase", "remove", "forget", "steal"]),
}


def encoded(document: object) -> bytes:
    return msgspec.json.encode(document, enc_hook=str)


nearly_events = st.fixed_dictionaries({}, optional=plausible | {"event_id": st.text(max_size=70)}).map(encoded)
odd_objects = st.dictionaries(st.sampled_from(FIELDS), json_values).map(encoded)
whole = st.one_of(nearly_events, odd_objects, json_values.map(encoded))
torn = st.tuples(whole, st.integers(0, 60), st.binary(max_size=4)).map(lambda cut: cut[0][: cut[1]] + cut[2])
values = st.one_of(st.none(), st.binary(max_size=60), whole, torn)


@settings(max_examples=150)
@given(st.lists(values, max_size=12))
async def test_any_records_are_applied_or_counted_as_rejected(records: list[bytes | None]) -> None:
    topic, metrics = MemoryTopic(), Metrics()
    updates = LiveUpdates(StreamingSettings(), RatingScale(), metrics, topic.follower, 1_000)
    store = LiveEvents({})
    updates._store = store
    good = event_json(user_id="u0", item_id="i05", rating=4.0, timestamp="2024-06-01T00:00:00Z")
    batch = [Record(value, NOW_MS, 0, offset) for offset, value in enumerate([*records, good])]
    updates._apply(batch)
    updates._apply(batch)  # read again, as after a restart: nothing changes
    counted = {result: metrics.live_records.labels(result)._value.get() for result in ("applied", "rejected")}
    assert sum(counted.values()) == 2 * len(batch)
    assert counted["applied"] >= 2
    snapshot = snapshot_of(MODEL, store)
    for user_id in ("u0", "u1", "new", "7", "nobody"):
        answer = await snapshot.recommend(user_id, ListSettings(5))
        assert len(answer.recommendations) <= 5
        assert all(0.5 <= entry.predicted_rating <= 5.0 for entry in answer.recommendations)


async def test_a_running_service_reads_over_a_torn_topic(service: Service) -> None:
    service.publish(make_model(position=Position(topic="user_interactions", next_offsets={"0": 0})))
    for value in (None, b"", b"\xff\xfe", b"{", b"[]", b'{"user_id": "u0"}', b"[" * 5_000, b"null", b'"text"'):
        service.topic.append(value)
    async with service.ready() as client:
        before = items_of(await recommend(client, "u0"))
        service.topic.append(event_json(item_id=before[0], timestamp="2024-06-01T00:00:00Z"))

        async def changed() -> bool:
            return before[0] not in items_of(await recommend(client, "u0"))

        await until(changed)
        assert await metric(client, 'recommender_live_records_total{result="rejected"}') >= 9
