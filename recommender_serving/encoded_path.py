"""Routing by the path as the client encoded it, so that a `%2F` inside an id does not look like a separator."""

import re
from urllib.parse import unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from recommender_serving.engine.event_errors import CONTROL_CHARACTER
from recommender_serving.errors import InvalidItemIdError, InvalidUserIdError, ServiceError

_LONGEST_ID = 256
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_NOT_ENCODED = "the address is not valid percent-encoded UTF-8"


class EncodedPath:
    """ASGI layer that hands the path on undecoded; path parameters arrive percent-encoded (see `decoded_user_id`)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route one request."""
        if scope["type"] == ScopeType.HTTP:
            scope["path"] = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        await self._app(scope, receive, send)


def decoded_user_id(encoded: str) -> str:
    """The user id in a path.

    Raises:
        InvalidUserIdError: it breaks the rule that events are judged by.
    """
    return _decoded_id(encoded, "user_id", InvalidUserIdError)


def decoded_item_id(encoded: str) -> str:
    """The item id in a path.

    Raises:
        InvalidItemIdError: it breaks the rule that events are judged by.
    """
    return _decoded_id(encoded, "item_id", InvalidItemIdError)


def _decoded_id(encoded: str, field: str, error_type: type[ServiceError]) -> str:
    if _BROKEN_ESCAPE.search(encoded):
        raise error_type(f"{field}: {_NOT_ENCODED}; a percent sign itself is %25")
    try:
        identifier = unquote_to_bytes(encoded.encode("latin-1")).decode()  # the inverse of what `EncodedPath` does
    except UnicodeDecodeError as error:
        raise error_type(f"{field}: {_NOT_ENCODED}") from error
    if not 1 <= len(identifier) <= _LONGEST_ID:
        raise error_type(f"{field}: expected 1 to {_LONGEST_ID} characters, got {len(identifier)}")
    if CONTROL_CHARACTER.search(identifier):
        raise error_type(f"{field}: expected no control characters")
    return identifier
