"""Answers that a client already has: `ETag`, `If-None-Match` and 304.

The tag is a hash of the answer without its ranking id, which names the answer and not its content. So it is the same on
every replica that has seen the same events, and changes with the model, the user's events and whatever else shows.
"""

from hashlib import blake2b

from litestar.types import ASGIApp, HTTPResponseStartEvent, HTTPScope, Message, Receive, Send

_TAG_BYTES = 12
_RANKING_ID = b'"ranking_id":"'
_REVALIDATE = (b"cache-control", b"private, no-cache")


class ConditionalAnswers:
    """ASGI layer that tags complete answers to GET and leaves out the body of one that the client has.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def answer(self, scope: HTTPScope, receive: Receive, send: Send, known: bytes | None) -> None:
        """Answer one request.

        Args:
            scope: ASGI scope.
            receive: ASGI receive.
            send: ASGI send.
            known: The header `If-None-Match`, if there is one.
        """
        if scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: HTTPResponseStartEvent | None = None

        async def send_tagged(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 200:
                start = message
                return
            if message["type"] == "http.response.body" and start is not None:
                held, start = start, None
                if not message.get("more_body", False):
                    tag = entity_tag(message["body"])
                    held["headers"] = [*held["headers"], (b"etag", tag), _REVALIDATE]
                    if known is not None and is_known(tag, known):
                        held = _not_modified(held)
                        message["body"] = b""
                await send(held)
            await send(message)

        await self._app(scope, receive, send_tagged)


def entity_tag(body: bytes) -> bytes:
    """The weak entity tag of an answer."""
    end = body.rfind(_RANKING_ID)
    content = body if end < 0 else memoryview(body)[:end]
    return b'W/"%b"' % blake2b(content, digest_size=_TAG_BYTES).hexdigest().encode()


def is_known(tag: bytes, known: bytes) -> bool:
    """Whether the header `If-None-Match` names this tag; weak and strong tags count alike (RFC 9110, 13.1.2)."""
    opaque = tag.removeprefix(b"W/")
    return known.strip() == b"*" or any(entry.strip().removeprefix(b"W/") == opaque for entry in known.split(b","))


def _not_modified(start: HTTPResponseStartEvent) -> HTTPResponseStartEvent:
    headers = [(name, value) for name, value in start["headers"] if name not in {b"content-length", b"content-type"}]
    return {"type": start["type"], "status": 304, "headers": headers}
