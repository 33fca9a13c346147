"""The real service on a real port, in a thread of the test."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from recommender_serving.__main__ import listen
from recommender_serving.app import create_app
from recommender_serving.engine.config import ApiSettings
from tests.unit.recommender_serving.service import Service


@contextmanager
def listening(service: Service) -> Iterator[str]:
    """The service's base URL while it runs, ready or not."""
    app = create_app(service.settings, service.topic.follower, service.topic.publisher, service.log.writer)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", ws="none", log_config=None, proxy_headers=False)
    server = uvicorn.Server(config)
    app.state.is_stopping = lambda: server.should_exit
    with listen(ApiSettings(port=0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            _wait_until_started(server)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the service did not end"


def wait_until_ready(url: str) -> None:
    """Wait until the service has a model to answer with."""
    deadline = time.monotonic() + 10
    while httpx.get(f"{url}/health/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _wait_until_started(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the service did not start"
        time.sleep(0.005)
