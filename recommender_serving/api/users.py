"""`DELETE /users/{user_id}`."""

from litestar import delete
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from recommender_serving.answers import ForgottenUser
from recommender_serving.encoded_path import decoded_user_id
from recommender_serving.errors import problem_responses
from recommender_serving.event_intake import EventIntake


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
