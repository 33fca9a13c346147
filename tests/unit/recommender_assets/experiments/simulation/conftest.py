from tests.unit.recommender_assets.local.conftest import http_server

__all__ = ["http_server"]
