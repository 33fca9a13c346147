"""The demo's view of the recommendation service."""

from typing import Any, Self
from urllib.parse import quote

import httpx


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

    def recommendations(self, user_id: str, count: int = 10) -> dict[str, Any]:
        """The service's answer for a user.

        Raises:
            ServiceError: if the answer is not 200.
        """
        path = f"/recommendations/user/{quote(user_id, safe='')}"
        answer = self._http.get(path, params={"num_recommendations": count})
        if answer.status_code != httpx.codes.OK:
            raise ServiceError(f"expected recommendations for user {user_id}, got {answer.status_code}: {answer.text}")
        body: dict[str, Any] = answer.json()
        return body
