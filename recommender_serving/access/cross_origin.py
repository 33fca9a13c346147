"""Which web pages of other origins may call the service (CORS)."""

import re
from collections.abc import Sequence

_ANY = "*"
_OF_THIS_MACHINE = re.compile(rb"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_METHODS = b"GET, POST, DELETE"
_REQUEST_HEADERS = b"Authorization, Content-Type, If-None-Match, X-API-Key, X-Request-ID"
_EXPOSED_HEADERS = b"ETag, Retry-After, X-Request-ID"
_MAX_AGE_SECONDS = b"600"

Headers = list[tuple[bytes, bytes]]


class CrossOrigin:
    """Headers for pages of the allowed origins; others get none, and their browser keeps the answer from them.

    Args:
        allowed: Origins like `https://shop.example`, or `*` for all.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._any = _ANY in allowed
        self._allowed = frozenset(origin.encode() for origin in allowed)

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may call the service."""
        return self._any or origin in self._allowed

    def trusts(self, origin: bytes) -> bool:
        """Whether a page of this origin may write without a key: it is served by this machine, or named explicitly."""
        return _OF_THIS_MACHINE.fullmatch(origin) is not None or origin in self._allowed

    def headers(self, origin: bytes) -> Headers:
        """Response headers for a request from this origin."""
        if not self.allows(origin):
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", b"*" if self._any else origin),
            (b"access-control-expose-headers", _EXPOSED_HEADERS),
            (b"vary", b"Origin"),
        ]

    def preflight_headers(self, origin: bytes) -> Headers:
        """Response headers for a browser's question what this origin may send."""
        if not self.allows(origin):
            return []
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", _MAX_AGE_SECONDS),
        ]
