"""`POST /recommendations`."""

from typing import Any

from litestar import Request, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from recommender_serving.engine.config import ApiSettings, RatingScale
from recommender_serving.errors import problem_responses
from recommender_serving.recommendation_request import RecommendationRequest
from recommender_serving.request_answers import RequestedList, RequestedLists
from recommender_serving.request_decoding import decode_request
from recommender_serving.requested_lists import RequestedListMaker


def requested_lists_route(maker: RequestedListMaker, scale: RatingScale, settings: ApiSettings) -> HTTPRouteHandler:
    """The route, bound to what makes the lists."""

    async def refuse_broken_rules(request: Request[Any, Any, State]) -> None:
        """Litestar would name neither the value nor the whole rule."""
        decode_request(await request.body(), settings.max_recommendations, scale)

    @post(
        "/recommendations",
        status_code=200,
        operation_id="recommend",
        summary="Best items for users or a session, under rules",
        tags=["recommendations"],
        before_request=refuse_broken_rules,
        responses={
            200: ResponseSpec(RequestedList | RequestedLists, generate_examples=False),  # type: ignore[arg-type]
            **problem_responses(400, 409, 413, 503),
        },
    )
    async def recommend(data: JSONBody[RecommendationRequest]) -> RequestedList | RequestedLists:
        """For one user (`user_id`), several (`users`: one list each) or a session without a user (`items`).

        Rules apply inside the search: a list is as long as was asked for whenever that many items may be listed.
        """
        return await maker.answer(data)

    return recommend
