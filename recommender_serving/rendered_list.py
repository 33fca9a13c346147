"""A list as it is kept: its JSON but for what differs from answer to answer, and what is logged of it."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from recommender_serving.access.conditional import entity_tag
from recommender_serving.answers import RecommendationList, Source

_START = b'{"user_id":""'
_END = b'"experiment":null,"ranking_id":""}'
_BYTES_OF_OBJECTS = 480


class ListSettings(NamedTuple):
    """What a list is asked for with: its length, and how it is ranked.

    Attributes:
        n: Length; the list is shorter only if fewer items are left.
        exclude_seen: Leave out what the user has interacted with.
        popularity_discount: As in `Rules`.
        diversity: As in `Rules`.
    """

    n: int
    exclude_seen: bool = True
    popularity_discount: float = 0.0
    diversity: float = 0.0


@dataclass(slots=True)
class RenderedList:
    """One list of one user.

    Attributes:
        source: Where it comes from.
        items: Item ids, best first.
        teams: Of an interleaved list, the arm that placed each item.
        body: The JSON between the user's id and the experiment.
        floor: Score that a new item must exceed to enter the list; NaN if it depends on the new items otherwise.
    """

    source: Source
    items: tuple[str, ...]
    teams: tuple[str, ...] | None
    body: bytes
    floor: float = math.nan
    _tagged: tuple[str, bytes, bytes] = field(default=("", b"", b""), compare=False, repr=False)

    @property
    def size(self) -> int:
        """Bytes that it takes; ids are shared with the model's items."""
        return _BYTES_OF_OBJECTS + 16 * len(self.items) + len(self.body)

    def answer(self, user_id: str, experiment: bytes, ranking_id: bytes) -> bytes:
        """The complete JSON.

        Args:
            user_id: Whose list it is.
            experiment: The experiment as JSON, `null` outside experiments.
            ranking_id: Names this answer.
        """
        start = b'{"user_id":%b' % msgspec.json.encode(user_id)
        return b'%b%b"experiment":%b,"ranking_id":"%b"}' % (start, self.body, experiment, ranking_id)

    def entity_tag(self, user_id: str, experiment: bytes) -> bytes:
        """The entity tag of the complete JSON; worked out again only for another user or experiment than last time."""
        if self._tagged[:2] != (user_id, experiment):
            self._tagged = user_id, experiment, entity_tag(self.answer(user_id, experiment, b""))
        return self._tagged[2]


def render(
    recommendations: RecommendationList, teams: tuple[str, ...] | None = None, floor: float = math.nan
) -> RenderedList:
    """Render a list without user, experiment and ranking id."""
    return RenderedList(
        source=recommendations.source,
        items=tuple(entry.item_id for entry in recommendations.recommendations),
        teams=teams,
        body=msgspec.json.encode(recommendations).removeprefix(_START).removesuffix(_END),
        floor=floor,
    )
