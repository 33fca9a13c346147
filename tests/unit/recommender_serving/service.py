"""The service in a test: real application, real model files, a topic in memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from httpx import Response
from litestar import Litestar
from litestar.testing import AsyncTestClient
from litestar.types import ASGIApp, Receive, Scope, Send

from recommender_serving.app import create_app
from recommender_serving.engine.champion_pointer import ChampionPointer, version_directory, write_pointer
from recommender_serving.engine.config import ApiSettings, RecommendationLogSettings, StorageSettings
from recommender_serving.engine.factor_model import FactorModel, write_model
from recommender_serving.settings import AccessSettings, ChampionSettings, LogSettings, Settings
from tests.unit.recommender_serving.memory_topic import MemoryLog, MemoryTopic

Client = AsyncTestClient[Litestar]


@dataclass
class Service:
    """One storage root with a topic; `running` starts the application on it."""

    root: Path
    topic: MemoryTopic = field(default_factory=MemoryTopic)
    log: MemoryLog = field(default_factory=MemoryLog)
    logged_share: float = 0.0
    refused_retry_seconds: float = 0.02
    max_live_events: int = 500_000
    access: AccessSettings = field(default_factory=AccessSettings)
    logging: LogSettings = field(default_factory=LogSettings)
    peer: str = "127.0.0.1"

    @property
    def settings(self) -> Settings:
        return Settings(
            storage=StorageSettings(root=str(self.root)),
            api=ApiSettings(max_body_bytes=262_144, max_live_events=self.max_live_events),
            recommendation_log=RecommendationLogSettings(share=self.logged_share),
            champion=ChampionSettings(poll_interval_seconds=0.01, refused_retry_seconds=self.refused_retry_seconds),
            access=self.access,
            logging=self.logging,
        )

    def publish(self, model: FactorModel, predecessor: str | None = None) -> None:
        """Write the model where the service looks for it, unless it is there, and promote it."""
        if not version_directory(self.root, model.version).exists():
            write_model(version_directory(self.root, model.version), model)
        self.promote(model.version, predecessor)

    def promote(self, version: str, predecessor: str | None = None, deployed: Mapping[str, str] | None = None) -> None:
        pointer = ChampionPointer(
            version=version,
            predecessor=predecessor,
            deployed=dict(deployed or {}),
            promoted_at="2024-01-02T00:00:00Z",
        )
        write_pointer(self.root, pointer)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Client]:
        app = create_app(self.settings, self.topic.follower, self.topic.publisher, self.log.writer)
        app.asgi_handler = from_address(self.peer, app.asgi_handler)
        async with AsyncTestClient(app) as client:
            yield client

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[Client]:
        async with self.running() as client:
            await until(lambda: is_status(client, 200))
            yield client


def from_address(address: str, app: ASGIApp) -> ASGIApp:
    """The application with requests from this address; the test client itself calls from none."""

    async def with_address(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["client"] = (address, 50_000)
        await app(scope, receive, send)

    return with_address


async def is_status(client: Client, status: int) -> bool:
    return (await client.get("/health/ready")).status_code == status


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait until an asynchronous condition holds."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.005)


async def recommend(client: Client, user_id: str, **parameters: Any) -> dict[str, Any]:
    """The answer for a user, which must be 200."""
    response = await client.get(f"/recommendations/user/{user_id}", params=parameters)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def items_of(answer: dict[str, Any]) -> list[str]:
    return [entry["item_id"] for entry in answer["recommendations"]]


def event_json(**fields: Any) -> bytes:
    """An event as a client sends it: a rating by u0 of i00 unless told otherwise."""
    defaults = {"user_id": "u0", "item_id": "i00", "rating": 4.5, "timestamp": "2024-01-01T12:00:00Z"}
    return msgspec.json.encode({**defaults, **fields})


def problem_of(response: Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, checked: media type, status, title, type and code, and a detail for people."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == "about:blank"
    assert problem["title"] == HTTPStatus(status).phrase
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"]
    return problem


async def get_raw(client: Client, raw_path: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body for a path sent byte by byte; an HTTP client would mend its encoding."""
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50_000),
        "root_path": "",
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": b"",
        "headers": [],
        "state": {},
        "extensions": {},
    }
    await client.app(scope, receive, send)  # type: ignore[arg-type]
    headers = dict(messages[0]["headers"])
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], headers[b"content-type"].decode(), body


async def metric(client: Client, series: str) -> float:
    """The value of one series at /metrics; 0 if it is not there yet."""
    for line in (await client.get("/metrics")).text.splitlines():
        name, _, value = line.rpartition(" ")
        if name == series:
            return float(value)
    return 0.0
