"""`GET /users`."""

import numpy as np
from litestar import get
from litestar.handlers import HTTPRouteHandler

from recommender_serving.answers import KnownUsers
from recommender_serving.champion import Champion
from recommender_serving.errors import problem_responses

_NUMBER = 20


def known_users_route(champion: Champion) -> HTTPRouteHandler:
    """The route, bound to the champion that answers."""

    @get(
        "/users",
        operation_id="knownUsers",
        summary="Some users to try",
        tags=["users"],
        responses=problem_responses(503),
    )
    async def known_users() -> KnownUsers:
        """Up to 20 users of the model, from the most to the least active."""
        model = champion.snapshot.model
        by_activity = np.argsort(-np.diff(model.history.indptr), kind="stable")
        places = np.linspace(0, len(by_activity) - 1, min(_NUMBER, len(by_activity))).astype(int)
        return KnownUsers(users=[model.user_ids[user] for user in by_activity[places].tolist()])

    return known_users
