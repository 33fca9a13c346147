"""Answers `GET /users/{user_id}`: what the service knows of a user, from the model's past and the live events."""

import time
from collections.abc import Sequence

from recommender_serving.answers import Activity, UserDescription, VectorOrigin
from recommender_serving.engine.activity import user_profile
from recommender_serving.engine.categories import SEPARATOR
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.live_events import user_events
from recommender_serving.snapshot import Snapshot
from recommender_serving.timestamps import rfc3339
from recommender_serving.user_history import user_history

_DECIMALS = 6  # of means and shares in an answer


def user_description(snapshot: Snapshot, user_id: str, longest: int) -> UserDescription:
    """Activity, tastes and history of a user, and the origin of the vector.

    Args:
        snapshot: Knows the past and the live events.
        user_id: Any id; one that nobody knows has no past.
        longest: How many items of the history at most.
    """
    return UserDescription(
        user_id=user_id,
        activity=_activity(snapshot, user_id),
        vector=_origin(snapshot, user_id),
        history=user_history(snapshot, user_id, longest).items,
    )


def _activity(snapshot: Snapshot, user_id: str) -> Activity:
    model = snapshot.model
    events, _ = user_events(model, snapshot.events_of(user_id), user_id)

    def categories_of(item: int) -> Sequence[str]:
        return _categories(model, item) if item < model.n_items else ()

    manifest = model.manifest
    profile = user_profile(events, categories_of, manifest.weights, manifest.scale, time.time_ns() // 1_000)
    return Activity(
        interactions=profile.interactions,
        ratings=profile.ratings,
        mean_rating=None if profile.mean_rating is None else round(profile.mean_rating, _DECIMALS),
        first_interaction=_time(profile.first_interaction_us),
        last_interaction=_time(profile.last_interaction_us),
        windows=profile.windows,  # type: ignore[arg-type]  # the names of WINDOWS
        category_affinity={
            name: round(share, _DECIMALS)
            for name, share in sorted(profile.category_affinity.items(), key=lambda entry: -entry[1])
        },
    )


def _origin(snapshot: Snapshot, user_id: str) -> VectorOrigin:
    model, state = snapshot.model, snapshot.state_of(user_id)
    user = model.user_ids.index(user_id)
    rows = model.history.rows_of(user) if user >= 0 else slice(0, 0)
    return VectorOrigin(
        source=state.source,
        trained_events=rows.stop - rows.start,
        live_events=len(snapshot.events_of(user_id)),
        items=len(state.seen),
        unknown_items=state.unknown_items,
        as_of=state.as_of,
        model=snapshot.reference,
    )


def _categories(model: FactorModel, item: int) -> list[str]:
    return [name for name in model.catalogue.categories[item].split(SEPARATOR) if name]


def _time(timestamp_us: int | None) -> str | None:
    return None if timestamp_us is None else rfc3339(timestamp_us)
