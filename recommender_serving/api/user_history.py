"""`GET /users/{user_id}/history`."""

from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from recommender_serving.answers import UserHistory
from recommender_serving.champion import Champion
from recommender_serving.encoded_path import decoded_user_id
from recommender_serving.errors import problem_responses
from recommender_serving.user_history import user_history

_LONGEST = 1_000


def user_history_route(champion: Champion) -> HTTPRouteHandler:
    """The route, bound to the champion that knows the users."""

    @get(
        "/users/{user_id:str}/history",
        operation_id="userHistory",
        summary="What counts for one user's lists",
        tags=["users"],
        responses=problem_responses(400, 503),
    )
    async def history_of_user(
        user_id: FromPath[str],
        num_items: Annotated[int, QueryParameter(ge=1, le=_LONGEST, description="How many items at most.")] = 100,
    ) -> UserHistory:
        """Items with ratings, the latest first, live events included; a user nobody knows has none."""
        return user_history(champion.snapshot, decoded_user_id(user_id), num_items)

    return history_of_user
