"""One list drawn up by two rankers in turn."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from recommender_serving.engine.interleaving import coins_of, team_draft
from recommender_serving.list_serving import Ranker
from recommender_serving.rendered_list import RenderedList, render


class _Entry(Protocol):
    @property
    def item_id(self) -> str:
        """Id of the item."""


E = TypeVar("E", bound=_Entry)


async def interleaved_list(experiment: str, user_id: str, control: Ranker, treatment: Ranker) -> RenderedList:
    """The merged list, with the arm that placed each item; the same until the user's next event or model.

    It is kept with control's lists, so its key holds what the treatment's ranking depends on.
    """
    other = treatment.snapshot
    key = (experiment, control.wanted, treatment.wanted, other.model.version, other.catalogue.generation)

    async def make() -> RenderedList:
        one = await control.snapshot.recommend(user_id, control.wanted)
        other = await treatment.snapshot.recommend(user_id, treatment.wanted)
        entries, teams = draft(
            experiment, user_id, (control, treatment), one.recommendations, other.recommendations, one.as_of
        )
        return render(msgspec.structs.replace(one, user_id="", recommendations=entries), teams)

    return await control.snapshot.kept(user_id, key, make)


def draft(  # noqa: PLR0917
    experiment: str,
    user_id: str,
    rankers: tuple[Ranker, Ranker],
    control: Sequence[E],
    treatment: Sequence[E],
    as_of: str,
) -> tuple[list[E], tuple[str, ...]]:
    """Merge two lists by team draft.

    Args:
        experiment: Its name.
        user_id: Who gets the list.
        rankers: Control and treatment.
        control: Control's list, best first.
        treatment: The treatment's.
        as_of: Time of the newest event that counts: with the next one, the coins are tossed anew.

    Returns:
        The merged list as long as the longer one, each entry as its team has it, and the arm that placed each.
    """
    by_id = [{entry.item_id: entry for entry in entries} for entries in (control, treatment)]
    coins = coins_of(experiment, user_id, as_of)
    merged = team_draft(list(by_id[False]), list(by_id[True]), max(map(len, by_id)), coins)
    placed = list(zip(merged.items, merged.treatment, strict=True))
    return [by_id[team][item] for item, team in placed], tuple(rankers[team].arm for _, team in placed)
