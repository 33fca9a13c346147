"""`GET /recommendations/user/{user_id}`."""

from itertools import count
from secrets import token_hex
from typing import Annotated

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from recommender_serving.answers import RecommendationList
from recommender_serving.champion import Champion
from recommender_serving.encoded_path import decoded_user_id
from recommender_serving.engine.config import ApiSettings
from recommender_serving.errors import problem_responses
from recommender_serving.metrics import Metrics


def recommendations_route(champion: Champion, metrics: Metrics, settings: ApiSettings) -> HTTPRouteHandler:
    """The route, bound to the champion that answers."""
    ranking_ids = (f"{process}{number:012x}" for process in [token_hex(8)] for number in count())

    @get(
        "/recommendations/user/{user_id:str}",
        operation_id="recommendationsForUser",
        summary="Best items for one user",
        tags=["recommendations"],
        responses={200: ResponseSpec(RecommendationList, generate_examples=False), **problem_responses(400, 503)},
    )
    async def recommendations_for_user(
        user_id: FromPath[str],
        num_recommendations: Annotated[
            int, QueryParameter(ge=1, le=settings.max_recommendations, description="Length of the list.")
        ] = 10,
        exclude_seen: Annotated[
            bool, QueryParameter(description="Leave out what the user has interacted with.")
        ] = True,
    ) -> Response[bytes]:
        """List of items ordered by the ranking head; a user nobody knows gets the popular list."""
        source, body = champion.snapshot.answer(
            decoded_user_id(user_id), num_recommendations, exclude_seen=exclude_seen, ranking_id=next(ranking_ids)
        )
        metrics.recommendations.labels(source).inc()
        return Response(body, media_type=MediaType.JSON)

    return recommendations_for_user
