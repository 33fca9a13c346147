"""`GET /items/popular`."""

from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from recommender_serving.answers import PopularItems
from recommender_serving.champion import Champion
from recommender_serving.engine.config import ApiSettings
from recommender_serving.errors import problem_responses


def popular_items_route(champion: Champion, settings: ApiSettings) -> HTTPRouteHandler:
    """The route, bound to the champion that answers."""

    @get(
        "/items/popular",
        operation_id="popularItems",
        summary="Items with most users",
        tags=["items"],
        responses=problem_responses(400, 503),
    )
    async def popular_items(
        num_recommendations: Annotated[
            int, QueryParameter(ge=1, le=settings.max_recommendations, description="Length of the list.")
        ] = 10,
    ) -> PopularItems:
        """The list that a user nobody knows gets."""
        return champion.snapshot.popular(num_recommendations)

    return popular_items
