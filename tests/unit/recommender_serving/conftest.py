from pathlib import Path

import pytest

from tests.unit.recommender_serving.service import Service


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A storage root without a champion, and an empty topic."""
    return Service(tmp_path)
