"""`GET /health/live`, `/health/ready` and `/metrics`: what an orchestrator and Prometheus ask."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from recommender_serving.answers import Health
from recommender_serving.champion import Champion
from recommender_serving.errors import problem_responses
from recommender_serving.experiments import Experiments
from recommender_serving.metrics import Metrics
from recommender_serving.recommendation_log import RecommendationLog


def health_routes(
    champion: Champion, experiments: Experiments, log: RecommendationLog, metrics: Metrics
) -> list[HTTPRouteHandler]:
    """The routes, bound to what knows the state of this service."""

    @get("/health/live", operation_id="live", summary="Is the process alive", tags=["operation"])
    async def live() -> Health:
        """Answers as long as the event loop turns."""
        return Health(status="live")

    @get(
        "/health/ready",
        operation_id="ready",
        summary="Is there a model to answer with",
        tags=["operation"],
        responses=problem_responses(503),
    )
    async def ready() -> Health:
        """200 once a champion with its live events serves; `degraded` lists what is amiss meanwhile."""
        _ = champion.snapshot
        reasons = [*champion.reasons(), *experiments.reasons()]
        return Health(status="degraded" if reasons else "ready", reasons=reasons)

    @get("/metrics", operation_id="metrics", summary="Prometheus metrics", tags=["operation"], media_type="text/plain")
    async def prometheus_metrics() -> Response[bytes]:
        """All metrics in Prometheus' text format."""
        champion.observe()
        experiments.observe()
        log.observe()
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return [live, ready, prometheus_metrics]
