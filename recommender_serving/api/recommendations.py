"""`GET /recommendations/user/{user_id}`: the described and validated form of what `user_list_front` answers fast."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from recommender_serving.answers import RecommendationList
from recommender_serving.champion import Champion
from recommender_serving.encoded_path import decoded_user_id
from recommender_serving.engine.config import ApiSettings
from recommender_serving.errors import UnknownParameterError, problem_responses
from recommender_serving.metrics import Metrics
from recommender_serving.user_list_front import DEFAULT_LENGTH

_PARAMETERS = ("num_recommendations", "exclude_seen", "algorithm")


def recommendations_route(
    champion: Champion, metrics: Metrics, ranking_ids: Iterator[bytes], settings: ApiSettings
) -> HTTPRouteHandler:
    """The route, bound to the champion that answers."""

    @get(
        "/recommendations/user/{user_id:str}",
        operation_id="recommendationsForUser",
        summary="Best items for one user",
        tags=["recommendations"],
        responses={200: ResponseSpec(RecommendationList, generate_examples=False), **problem_responses(400, 409, 503)},
    )
    async def recommendations_for_user(
        request: Request[Any, Any, State],
        user_id: FromPath[str],
        num_recommendations: Annotated[
            int, QueryParameter(ge=1, le=settings.max_recommendations, description="Length of the list.")
        ] = DEFAULT_LENGTH,
        exclude_seen: Annotated[
            bool, QueryParameter(description="Leave out what the user has interacted with.")
        ] = True,
        algorithm: Annotated[
            Literal["svd", "nmf"] | None,
            QueryParameter(description="Ask the deployed model of this algorithm instead of the champion."),
        ] = None,
    ) -> Response[bytes]:
        """List of items ordered by the ranking head; a user nobody knows gets the popular list."""
        for name in request.query_params:
            if name not in _PARAMETERS:
                raise UnknownParameterError(f"{name}: unknown parameter, expected one of {', '.join(_PARAMETERS)}")
        source, body = await champion.deployed(algorithm).answer(
            decoded_user_id(user_id),
            num_recommendations,
            exclude_seen=exclude_seen,
            ranking_id=next(ranking_ids),
        )
        metrics.recommendations.labels(source).inc()
        return Response(body, media_type=MediaType.JSON)

    return recommendations_for_user
