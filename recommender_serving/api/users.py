"""`GET` and `DELETE /users/{user_id}`."""

from typing import Annotated

from litestar import delete, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from recommender_serving.answers import ForgottenUser, UserDescription
from recommender_serving.champion import Champion
from recommender_serving.encoded_path import decoded_user_id
from recommender_serving.errors import problem_responses
from recommender_serving.event_intake import EventIntake
from recommender_serving.user_description import user_description

_LONGEST = 1_000


def user_route(champion: Champion) -> HTTPRouteHandler:
    """The route, bound to the champion that knows the users."""

    @get(
        "/users/{user_id:str}",
        operation_id="describeUser",
        summary="What is known of a user",
        tags=["users"],
        responses=problem_responses(400, 503),
    )
    async def describe_user(
        user_id: FromPath[str],
        num_items: Annotated[int, QueryParameter(ge=1, le=_LONGEST, description="Length of the history.")] = 20,
    ) -> UserDescription:
        """Counts, windows, tastes, history, and how the vector came to be; live events included.

        Made from the events that the service itself holds: the model's past and everything after its position. A user
        nobody knows has none.
        """
        return user_description(champion.snapshot, decoded_user_id(user_id), num_items)

    return describe_user


def forget_user_route(intake: EventIntake) -> HTTPRouteHandler:
    """The route, bound to the intake that stores the event."""

    @delete(
        "/users/{user_id:str}",
        status_code=202,
        operation_id="forgetUser",
        summary="Forget a user",
        tags=["users"],
        responses=problem_responses(400, 503),
    )
    async def forget_user(user_id: FromPath[str]) -> ForgottenUser:
        """Stores a `forget` event; answered once Kafka has acknowledged it, also for a user nobody knows.

        The next list for the user on this replica is the popular one. The tables and the next model follow.
        """
        forgotten = decoded_user_id(user_id)
        await intake.forget(forgotten)
        return ForgottenUser(user_id=forgotten)

    return forget_user
