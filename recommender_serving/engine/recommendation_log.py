"""A served list as it is written to the Kafka topic `recommendation_log`: one schema, one encoder, one decoder."""

from typing import Annotated, Literal

import msgspec

from recommender_serving.engine.assignment import UniformHash
from recommender_serving.engine.event_errors import CONTROL_CHARACTER
from recommender_serving.engine.experiment_definition import INTERLEAVED

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_LATEST_US = 4_102_444_800_000_000  # the year 2100


class InvalidServedListError(ValueError):
    """A record is no served list; the message says what is wrong with it."""


class ServedList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One list that a user was served.

    Attributes:
        ranking_id: names the answer; events that it led to carry it.
        user_id: who got it.
        served_at_us: when, microseconds since 1970 by the replica's clock.
        items: item ids in the order shown.
        algorithm: of the model that answered; of an interleaved list, of control's.
        version: of that model.
        source: `personalized`, `folded_in` or `popular`, as in the answer.
        logged_share: share of such users whose lists are logged: 1 in experiments, else `recommendation_log.share`.
        experiment: that the list belongs to, None outside experiments.
        variant: the arm that the user saw, or `interleaved`.
        forced: the arm was asked for or set for this user; such lists are left out of the analysis.
        teams: of an interleaved list, for each item the arm that placed it.
        treatment_algorithm: of an interleaved list, of the other model.
        treatment_version: of that model.
    """

    ranking_id: _Name
    user_id: _Id
    served_at_us: Annotated[int, msgspec.Meta(ge=0, lt=_LATEST_US)]
    items: Annotated[tuple[_Id, ...], msgspec.Meta(max_length=10_000)]
    algorithm: _Name
    version: _Id
    source: Literal["personalized", "folded_in", "popular"]
    logged_share: Annotated[float, msgspec.Meta(gt=0, le=1)]
    experiment: _Name | None = None
    variant: _Name | None = None
    forced: bool = False
    teams: tuple[_Name, ...] | None = None
    treatment_algorithm: _Name | None = None
    treatment_version: _Id | None = None

    def __post_init__(self) -> None:
        if CONTROL_CHARACTER.search(self.user_id):
            raise ValueError(f"user_id must hold no control characters, got {self.user_id!r}")
        if (self.experiment is None) != (self.variant is None):
            raise ValueError("experiment and variant belong together, got only one of them")
        if (self.teams is None) != (self.variant != INTERLEAVED):
            raise ValueError(f"teams belong to lists of variant {INTERLEAVED}, got variant {self.variant!r}")
        if self.teams is not None and len(self.teams) != len(self.items):
            raise ValueError(f"teams must name one arm per item, got {len(self.teams)} for {len(self.items)} items")


encode_served_list = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ServedList).decode


def decode_served_list(value: bytes | None) -> ServedList:
    """The served list in a record of the topic; fields that nobody knows are ignored.

    Raises:
        InvalidServedListError: naming field and rule.
    """
    if value is None:
        raise InvalidServedListError("the record has no value")
    try:
        return _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidServedListError(str(error)) from error


class LogSample:
    """Which users' lists are logged outside experiments: the same users on every replica and every day.

    Users are drawn, not lists: what a user did with all of their lists is what a plan needs to know. A larger share
    adds users and drops none.

    Args:
        share: of the users, 0..1.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._hash = UniformHash("recommendation_log")

    def holds(self, user_id: str) -> bool:
        """Whether the user's lists are logged."""
        return self.share > 0 and self._hash(user_id)[0] < self.share
