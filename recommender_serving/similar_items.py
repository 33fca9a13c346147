"""Answers `GET /items/{item_id}/similar`."""

import asyncio

from recommender_serving.answers import SimilarItem, SimilarItems
from recommender_serving.engine.similar_items import most_similar
from recommender_serving.errors import UnknownItemError
from recommender_serving.snapshot import Snapshot

_DECIMALS = 6  # of a cosine in an answer


async def similar_items(snapshot: Snapshot, item_id: str, n: int) -> SimilarItems:
    """The `n` items most like one item; searched in a thread, for every item takes part.

    Raises:
        UnknownItemError: neither the model nor any event since knows the item.
    """
    space = snapshot.catalogue.space
    item = space.index(item_id)
    if item < 0:
        raise UnknownItemError(f"item_id: neither the model nor any event since knows {item_id!r}")
    items, cosines = await asyncio.to_thread(most_similar, space, item, n)
    return SimilarItems(
        item_id=item_id,
        title=space.title(item),
        items=[
            SimilarItem(item_id=space.item_id(other), title=space.title(other), similarity=cosine)
            for other, cosine in zip(items.tolist(), cosines.round(_DECIMALS).tolist(), strict=True)
        ],
        model=snapshot.reference,
    )
