"""Answers that a client already has: `ETag`, `If-None-Match` and 304.

The tag is a hash of the answer without its ranking id, which names the answer and not its content. So it is the same on
every replica that has seen the same events, and changes with the model, the user's events and whatever else shows.
"""

from hashlib import sha256

from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent

_TAG_DIGITS = 24
_RANKING_ID = b'"ranking_id":"'
REVALIDATE = (b"cache-control", b"private, no-cache")
_OF_A_BODY = frozenset({b"content-length", b"content-type"})


def make_conditional(start: HTTPResponseStartEvent, body: HTTPResponseBodyEvent, known: bytes | None) -> None:
    """Tag a complete answer to GET; one that the client has becomes a 304 without body. Changes both messages.

    Args:
        start: Status and headers.
        body: The whole body.
        known: The header `If-None-Match` of the request, if there is one.
    """
    tag = entity_tag(body["body"])
    headers = [*start["headers"], (b"etag", tag), REVALIDATE]
    if known is not None and is_known(tag, known):
        headers = [(name, value) for name, value in headers if name not in _OF_A_BODY]
        start["status"], body["body"] = 304, b""
    start["headers"] = headers


def entity_tag(body: bytes) -> bytes:
    """The weak entity tag of an answer."""
    end = body.rfind(_RANKING_ID)
    content = body if end < 0 else memoryview(body)[:end]
    return b'W/"%b"' % sha256(content).hexdigest()[:_TAG_DIGITS].encode()


def is_known(tag: bytes, known: bytes) -> bool:
    """Whether the header `If-None-Match` names this tag; weak and strong tags count alike (RFC 9110, 13.1.2)."""
    opaque = tag.removeprefix(b"W/")
    return known.strip() == b"*" or any(entry.strip().removeprefix(b"W/") == opaque for entry in known.split(b","))
