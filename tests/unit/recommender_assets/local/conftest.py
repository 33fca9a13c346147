from collections.abc import Iterator

import pytest

from tests.canned_server import CannedServer


@pytest.fixture
def http_server() -> Iterator[CannedServer]:
    server = CannedServer()
    yield server
    server.close()
