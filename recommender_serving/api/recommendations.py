"""`GET /recommendations/user/{user_id}`: the described and validated form of what `user_list_front` answers fast."""

from typing import Annotated, Any, Literal

from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from recommender_serving.answers import RecommendationList
from recommender_serving.encoded_path import decoded_user_id
from recommender_serving.engine.config import ApiSettings
from recommender_serving.engine.experiment_definition import VARIANT_PATTERN
from recommender_serving.errors import UnknownParameterError, problem_responses
from recommender_serving.rendered_list import ListSettings
from recommender_serving.user_lists import DEFAULT_LENGTH, ListParameters, UserLists

_PARAMETERS = ("num_recommendations", "exclude_seen", "algorithm", "variant")


def recommendations_route(lists: UserLists, settings: ApiSettings) -> HTTPRouteHandler:
    """The route, bound to what answers."""

    @get(
        "/recommendations/user/{user_id:str}",
        operation_id="recommendationsForUser",
        summary="Best items for one user",
        tags=["recommendations"],
        responses={200: ResponseSpec(RecommendationList, generate_examples=False), **problem_responses(400, 409, 503)},
    )
    async def recommendations_for_user(  # noqa: PLR0917 (the parameters of the call)
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
            QueryParameter(
                description="Ask the deployed model of this algorithm instead of the champion, outside experiments."
            ),
        ] = None,
        variant: Annotated[
            str | None,
            QueryParameter(
                pattern=VARIANT_PATTERN,
                description="Try out `EXPERIMENT:VARIANT` of a running experiment; the list counts as forced.",
            ),
        ] = None,
    ) -> Response[bytes]:
        """List of items ordered by the ranking head; a user nobody knows gets the popular list."""
        for name in request.query_params:
            if name not in _PARAMETERS:
                raise UnknownParameterError(f"{name}: unknown parameter, expected one of {', '.join(_PARAMETERS)}")
        if algorithm is not None and variant is not None:
            raise ClientException("variant: expected none where algorithm is given, for a variant has its own")
        asked = ListParameters(ListSettings(num_recommendations, exclude_seen), algorithm, variant)
        known = request.headers.get("if-none-match")
        answer = await lists.answer(decoded_user_id(user_id), asked, None if known is None else known.encode("latin-1"))
        return Response(answer.body, media_type=MediaType.JSON)

    return recommendations_for_user
