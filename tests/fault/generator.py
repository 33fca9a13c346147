"""Events and broken records for fault tests, with the generator's own ledger of what must become of each."""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Message, Producer

from recommender_assets.ingestion.tables import read_table
from recommender_assets.settings import Settings
from recommender_serving.engine.events import MAX_EVENT_BYTES

START = 1_700_000_000
EVENT = "event"
Position = tuple[int, int]


@dataclass(frozen=True)
class Sent:
    """A record as it was produced: `fate` is `EVENT` or the reason for which it must be rejected."""

    value: bytes | None
    fate: str


class Difference(NamedTuple):
    """Something that is not as it was sent: of which kind, and what."""

    kind: Literal["lost", "doubled", "invented", "wrong_reason", "other_bytes", "unproven", "stuck"]
    text: str


@dataclass
class Generator:
    """Produces numbered events, some twice and some broken, and remembers the offset of every record.

    Args:
        settings: broker and topic.
        seed: of all choices.
    """

    settings: Settings
    seed: int = 0
    sent: dict[Position, Sent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._number = 0
        self._lock = threading.Lock()
        self._producer = Producer(
            {
                "bootstrap.servers": self.settings.streaming.kafka_bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 300_000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def produce(self, count: int) -> None:
        """Send events; one in twenty of them again, perhaps to another partition, and one in fifty broken."""
        for _ in range(count):
            self._number += 1
            value = event(self._number)
            self._send(Sent(value, EVENT))
            chance = self._random.random()
            if chance < 0.05:
                self._send(Sent(value, EVENT))
            elif chance < 0.07:
                self._send(broken(int(self._random.integers(len(BROKEN)))))
        self._producer.poll(0)

    def poison(self, count: int) -> None:
        """Send only broken records, all kinds in turn."""
        for number in range(count):
            self._send(broken(number))

    def flush(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(120) == 0, "the broker did not take everything"

    def differences(self) -> list[Difference]:
        """Where the tables differ from what was sent; empty = nothing lost, nothing doubled, every reason right."""
        self.flush()
        rows = _rows(self.settings)
        found = Counter(position for position, _, _ in rows)
        errors = [Difference("lost", f"{position} has no row") for position in self.sent.keys() - found.keys()]
        errors += [Difference("doubled", f"{position} has {n} rows") for position, n in found.items() if n > 1]
        errors += [Difference("invented", f"{position} was never sent") for position in found.keys() - self.sent.keys()]
        accepted: Counter[bytes | None] = Counter()
        for position, value, reason in rows:
            record = self.sent.get(position)
            if record is None:
                continue
            if reason == EVENT:
                accepted[record.value] += 1
            elif value != (record.value and record.value[:MAX_EVENT_BYTES]):
                errors.append(Difference("other_bytes", f"{position} has other bytes than were sent"))
            if reason != record.fate and (record.fate, reason) != (EVENT, "duplicate"):
                errors.append(Difference("wrong_reason", f"{position}: {reason}, expected {record.fate}"))
        errors += [Difference("doubled", f"{value!r} accepted {n} times") for value, n in accepted.items() if n > 1]
        missing = {record.value for record in self.sent.values() if record.fate == EVENT} - accepted.keys()
        return errors + [Difference("lost", f"{value!r} was never accepted") for value in missing]

    def _send(self, record: Sent) -> None:
        partition = int(self._random.integers(self.settings.streaming.partitions))

        def delivered(error: object, message: Message) -> None:
            assert error is None, error
            with self._lock:
                self.sent[message.partition(), message.offset()] = record

        while True:
            try:
                self._producer.produce(
                    self.settings.streaming.topic, record.value, key=b"k", partition=partition, on_delivery=delivered
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return


def event(number: int) -> bytes:
    """A valid event with an id of its own."""
    fields = {"user_id": number % 997, "item_id": f"i{number % 499}", "rating": 4.0, "timestamp": START + number}
    return json.dumps(fields | {"event_id": f"e{number}"}).encode()


def broken(number: int) -> Sent:
    """The broken record with this number: the kinds of `BROKEN` in turn."""
    make, reason = BROKEN[number % len(BROKEN)]
    return Sent(make(number), reason)


def _with(number: int, **changes: object) -> bytes:
    return json.dumps(json.loads(event(number)) | changes).encode()


BROKEN = [
    (lambda _: None, "empty_record"),
    (lambda number: b"\xff\xfe" + event(number), "malformed_json"),
    (lambda number: event(number).replace(b': "i', b': "\xc3\x28'), "malformed_json"),
    (lambda number: event(number) + b" " * MAX_EVENT_BYTES, "event_too_large"),
    (lambda _: b"[" * 20_000, "malformed_json"),
    (lambda _: b'{"a":' * 10_000, "malformed_json"),
    (lambda number: event(number).replace(b"4.0", b"NaN"), "malformed_json"),
    (lambda number: event(number).replace(b"4.0", b"Infinity"), "malformed_json"),
    (lambda number: event(number).replace(b"4.0", b"1e999"), "rating_out_of_scale"),
    (lambda number: _with(number, rating="NaN"), "wrong_type"),
    (lambda number: _with(number, user_id="a\x00b"), "invalid_id"),
    (lambda number: _with(number, item_id="line\nfeed"), "invalid_id"),
    (lambda number: _with(number, event_id="\x7f"), "invalid_event_id"),
    (lambda number: _with(number, user_id=None), "missing_field"),
    (lambda number: _with(number, timestamp="2024-01-01T00:00:00"), "timestamp_without_offset"),
    (lambda number: _with(number, timestamp=4_000_000_000), "timestamp_too_far_ahead"),
]
"""Kinds of broken records, with the reason for which each must be rejected."""


def _rows(settings: Settings) -> list[tuple[Position, bytes | None, str]]:
    position = ["kafka_partition", "kafka_offset"]
    accepted = read_table(settings.root, "interactions", position)
    rejected = read_table(settings.root, "rejected_events", [*position, "value", "reason"])
    rows = pa.concat_tables(
        [
            accepted.append_column("value", pa.nulls(accepted.num_rows, pa.binary())).append_column(
                "reason", pc.cast(pa.repeat(EVENT, accepted.num_rows), pa.string())
            ),
            rejected,
        ]
    )
    columns = (rows[name].to_pylist() for name in (*position, "value", "reason"))
    return [((p, o), value, reason) for p, o, value, reason in zip(*columns, strict=True)]
