"""What the reader of the event topic hands over: records, and how far it has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Record(NamedTuple):
    """One record of the topic: its value, its own timestamp and where it lies."""

    value: bytes | None
    timestamp_ms: int
    partition: int
    offset: int


class FollowState(StrEnum):
    """How far the thread has come with what it was asked to follow."""

    CONNECTING = "connecting"
    REPLAYING = "replaying"
    LIVE = "live"
    TOPIC_MISSING = "topic_missing"
    TOPIC_REPLACED = "topic_replaced"
    UNREACHABLE = "kafka_unreachable"


@dataclass(frozen=True, slots=True)
class FollowStatus:
    """What the thread reports.

    Attributes:
        request: Number of the `follow` call that this belongs to.
        state: See `FollowState`.
        topic_id: The topic's id at the broker; "" until it was seen.
        next_offsets: Partition -> first offset not read yet.
        lag: Records in the topic that are not read yet, as far as known.
        lost: One sentence per partition whose records between the position and the topic's start are gone.
        detail: What went wrong, for people.
    """

    request: int = 0
    state: FollowState = FollowState.CONNECTING
    topic_id: str = ""
    next_offsets: Mapping[int, int] = field(default_factory=dict)
    lag: int = 0
    lost: tuple[str, ...] = ()
    detail: str = ""
