"""`GET /items/popular` and `GET /items/{item_id}/similar`."""

from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from recommender_serving.answers import PopularItems, SimilarItems, WindowOrAll
from recommender_serving.champion import Champion
from recommender_serving.encoded_path import decoded_item_id
from recommender_serving.engine.config import ApiSettings
from recommender_serving.errors import problem_responses
from recommender_serving.popular_items import PopularItemLists
from recommender_serving.similar_items import similar_items


def popular_items_route(champion: Champion, settings: ApiSettings) -> HTTPRouteHandler:
    """The route, bound to the champion that answers."""
    popular = PopularItemLists(settings.max_recommendations)

    @get(
        "/items/popular",
        operation_id="popularItems",
        summary="Items with most users, or with most interactions lately",
        tags=["items"],
        responses=problem_responses(400, 503),
    )
    async def popular_items(
        num_recommendations: Annotated[
            int, QueryParameter(ge=1, le=settings.max_recommendations, description="Length of the list.")
        ] = 10,
        window: Annotated[
            WindowOrAll,
            QueryParameter(description="Sliding window by event time that ends now; `all` is the model's whole past."),
        ] = "all",
    ) -> PopularItems:
        """`all` is the list that a user nobody knows gets: distinct users per item, up to the model.

        A window counts interactions, live ones included, and lists only items that have some. What a live event takes
        back or replaces leaves the count with the next model. Counted anew at most once a second.
        """
        return await popular.answer(champion.snapshot, window, num_recommendations)

    return popular_items


def similar_items_route(champion: Champion, settings: ApiSettings) -> HTTPRouteHandler:
    """The route, bound to the champion that answers."""

    @get(
        "/items/{item_id:str}/similar",
        operation_id="similarItems",
        summary="Items most like one item",
        tags=["items"],
        responses=problem_responses(400, 404, 503),
    )
    async def items_like(
        item_id: FromPath[str],
        num_items: Annotated[
            int, QueryParameter(ge=1, le=settings.max_recommendations, description="Length of the list.")
        ] = 10,
    ) -> SimilarItems:
        """Ordered by the exact cosine of the items' factors in the ranking head, over all items."""
        return await similar_items(champion.snapshot, decoded_item_id(item_id), num_items)

    return items_like
