"""Where MLflow is, and whether it answers."""

import httpx

from recommender_assets.settings import Settings

_TIMEOUT_SECONDS = 5.0


class TrackingServerError(RuntimeError):
    """MLflow does not answer, so nothing that is trained now could be registered."""


def require_tracking_server(settings: Settings) -> None:
    """Ask the tracking server for its health; a store on this machine's disk needs no server.

    MLflow's own client would try again for minutes.

    Raises:
        TrackingServerError: it does not answer, or not well.
    """
    uri = settings.mlflow_tracking_uri
    if not uri.startswith(("http://", "https://")):
        return
    try:
        httpx.get(f"{uri.rstrip('/')}/health", timeout=_TIMEOUT_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        raise TrackingServerError(f"MLflow at {uri} (mlflow.tracking_uri) does not answer: {error}") from error


def run_address(settings: Settings, experiment_id: str, run_id: str) -> str:
    """Address of a run in MLflow's UI: that of the tracking server, or of the UI on this machine."""
    return f"{_ui(settings)}/#/experiments/{experiment_id}/runs/{run_id}"


def registered_model_address(settings: Settings, name: str) -> str:
    """Address of a registered model in MLflow's UI."""
    return f"{_ui(settings)}/#/models/{name}"


def _ui(settings: Settings) -> str:
    uri = settings.mlflow_tracking_uri
    return uri.rstrip("/") if uri.startswith("http") else f"http://localhost:{settings.mlflow.port}"
