"""Routing by the path as the client encoded it, so that a `%2F` inside an id does not look like a separator."""

import re
from urllib.parse import unquote_to_bytes

from litestar.types import HTTPScope

from recommender_serving.engine.event_errors import CONTROL_CHARACTER
from recommender_serving.errors import InvalidItemIdError, InvalidUserIdError, ServiceError

_LONGEST_ID = 256
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_NOT_ENCODED = "the address is not valid percent-encoded UTF-8"


def encoded_path(scope: HTTPScope) -> str:
    """The path to route by; path parameters in it are percent-encoded (see `decoded_user_id`)."""
    path, _, _ = scope["raw_path"].partition(b"?")
    return path.decode("latin-1")


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
    if encoded.isalnum() and encoded.isascii() and len(encoded) <= _LONGEST_ID:
        return encoded  # as almost every id is: nothing in it is encoded or forbidden
    if _BROKEN_ESCAPE.search(encoded):
        raise error_type(f"{field}: {_NOT_ENCODED}; a percent sign itself is %25")
    try:
        identifier = unquote_to_bytes(encoded.encode("latin-1")).decode()  # the inverse of `encoded_path`
    except UnicodeDecodeError as error:
        raise error_type(f"{field}: {_NOT_ENCODED}") from error
    if not 1 <= len(identifier) <= _LONGEST_ID:
        raise error_type(f"{field}: expected 1 to {_LONGEST_ID} characters, got {len(identifier)}")
    if CONTROL_CHARACTER.search(identifier):
        raise error_type(f"{field}: expected no control characters")
    return identifier
