"""What one user has interacted with, as the service knows it now: the model's past and the live events after it."""

import math

from recommender_serving.answers import PastItem, UserHistory
from recommender_serving.engine.live_events import user_observations
from recommender_serving.snapshot import Snapshot


def user_history(snapshot: Snapshot, user_id: str, longest: int) -> UserHistory:
    """The latest items of a user.

    Args:
        snapshot: Knows the past and the live events.
        user_id: Any id; one that nobody knows has no past.
        longest: How many items at most.
    """
    model, live = snapshot.model, snapshot.events_of(user_id)
    observed = user_observations(model, live, user_id)
    ratings = dict(zip(observed.items.tolist(), observed.ratings.tolist(), strict=True))
    latest: dict[str, int] = {}
    user = model.user_ids.index(user_id)
    if user >= 0:
        rows = model.history.rows_of(user)
        for item, moment in zip(
            model.history.item[rows].tolist(), model.history.timestamp_us[rows].tolist(), strict=True
        ):
            item_id = model.item_ids[item]
            latest[item_id] = max(moment, latest.get(item_id, moment))
    for event, _, _ in live:
        if event.item_id is not None:
            latest[event.item_id] = max(event.timestamp_us, latest.get(event.item_id, event.timestamp_us))
    items = [
        PastItem(
            item_id=model.item_ids[item],
            title=model.catalogue.titles[item],
            rating=None if math.isnan(rating) else round(rating, 6),
        )
        for item, rating in ratings.items()
    ]
    items += [PastItem(item_id=item_id, title="", rating=None) for item_id in observed.unknown_items]
    items.sort(key=lambda entry: latest[entry.item_id], reverse=True)
    return UserHistory(user_id=user_id, items=items[:longest])
