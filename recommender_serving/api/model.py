"""`GET /model`."""

from typing import Any

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from recommender_serving.answers import LivePosition, ModelDescription
from recommender_serving.champion import Champion
from recommender_serving.errors import problem_responses
from recommender_serving.live_updates import LiveUpdates


def model_route(champion: Champion, live_updates: LiveUpdates) -> HTTPRouteHandler:
    """The route, bound to the champion and its live events."""

    @get(
        "/model",
        operation_id="servingModel",
        summary="The model in service",
        tags=["model"],
        responses=problem_responses(503),
    )
    async def serving_model() -> ModelDescription:
        """Identity, quality and position of the champion, and how far the live events reach beyond it."""
        deployment, status = champion.deployment, live_updates.status
        model, pointer = deployment.champion.model, deployment.pointer
        trained_up_to: dict[str, Any] = msgspec.to_builtins(model.manifest.position)
        return ModelDescription(
            algorithm=model.algorithm,
            version=model.version,
            predecessor=pointer.predecessor,
            promoted_at=pointer.promoted_at,
            deployed={name: snapshot.model.version for name, snapshot in deployment.by_algorithm.items()},
            created_at=model.manifest.created_at,
            n_users=model.n_users,
            n_items=model.n_items,
            hyper_parameters=model.manifest.hyper_parameters,
            metrics=model.manifest.metrics,
            trained_up_to=trained_up_to,
            live=LivePosition(
                state=str(status.state),
                topic_id=status.topic_id,
                next_offsets={str(partition): offset for partition, offset in sorted(status.next_offsets.items())},
                lag_records=status.lag,
            ),
        )

    return serving_model
