"""The view that the demo and simulated visitors have of the recommendation service."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec

_TRIES = 5
_PAUSE_SECONDS = 1.0


class ServiceError(RuntimeError):
    """The service did not answer as it must; the message says what was expected and what came."""


class ServiceClient:
    """HTTP client of the recommendation service at a base address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx.Client(base_url=address, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def is_ready(self) -> bool:
        """Whether the service has loaded the champion and replayed the events after it."""
        try:
            return self._http.get("/health/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def recommendations(self, user_id: str, count: int = 10, algorithm: str | None = None) -> dict[str, Any]:
        """The service's answer for a user, of the deployed model of an algorithm if one is named.

        Raises:
            ServiceError: if the answer is not 200.
        """
        path = f"/recommendations/user/{quote(user_id, safe='')}"
        asked = {"num_recommendations": count} | ({"algorithm": algorithm} if algorithm else {})
        answer = self._http.get(path, params=asked)
        if answer.status_code != httpx.codes.OK:
            raise ServiceError(f"expected recommendations for user {user_id}, got {answer.status_code}: {answer.text}")
        body: dict[str, Any] = answer.json()
        return body

    def is_running(self, experiment: str) -> bool:
        """Whether the service knows of an experiment; the list it is asked for is left out of the analysis."""
        asked = {"variant": f"{experiment}:control"}
        return self._http.get("/recommendations/user/nobody", params=asked).status_code == httpx.codes.OK

    def send_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Store events and wait until they are safe; refused for want of time, they are sent again.

        Raises:
            ServiceError: the service did not take every one of them.
        """
        if not events:
            return
        body = msgspec.json.encode(events)
        for attempt in range(1, _TRIES + 1):
            answer = self._http.post("/events", content=body, headers={"Content-Type": "application/json"})
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or attempt == _TRIES:
                break
            time.sleep(_PAUSE_SECONDS)
        if answer.status_code != httpx.codes.OK or answer.json()["rejected"]:
            raise ServiceError(f"expected {len(events)} events to be taken, got {answer.status_code}: {answer.text}")
