"""Decides whether a request is answered at all: key and scope, rate, capacity."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from recommender_serving.access.cross_origin import CrossOrigin
from recommender_serving.access.keys import ApiKeys
from recommender_serving.access.load_shedding import LoadShedding
from recommender_serving.access.rate_limit import RateLimit
from recommender_serving.access.scopes import required_scope
from recommender_serving.errors import ForbiddenError, UnauthenticatedError
from recommender_serving.settings import AccessSettings

_BEARER = b"bearer "
_PROXY_HEADERS = (b"forwarded", b"x-forwarded-for", b"x-real-ip")


class Admission:
    """The rules that a request has to pass before any route sees it.

    Args:
        settings: Keys, limits and trusted origins.
        cross_origin: Knows which pages may write without a key.
    """

    def __init__(self, settings: AccessSettings, cross_origin: CrossOrigin) -> None:
        self._keys = ApiKeys(settings.keys)
        self._cross_origin = cross_origin
        self._rate_limit = (
            RateLimit(settings.requests_per_second, settings.burst) if settings.requests_per_second else None
        )
        self.load = LoadShedding(settings.max_turn_milliseconds / 1_000, settings.max_concurrent_requests)

    def admit(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        """Judge one request.

        Args:
            scope: ASGI scope of the request, its path as it is routed.
            headers: The request's headers, names in lower case.

        Returns:
            The name of the caller's key; "" where none is needed.

        Raises:
            UnauthenticatedError, ForbiddenError, RateLimitedError, OverloadedError: it is not to be answered.
        """
        needed = required_scope(scope["method"], scope["path"])
        if needed is None:
            return ""
        client = scope.get("client")
        address = client[0] if client else ""
        key_name = ""
        if self._keys:
            key_name = self._with_scope(needed, headers)
        elif needed != "read":
            self._require_local(address, headers)
        if self._rate_limit is not None:
            self._rate_limit.take(key_name or address)
        self.load.require_capacity()
        return key_name

    def _with_scope(self, needed: str, headers: Mapping[bytes, bytes]) -> str:
        presented = _presented_key(headers)
        if presented is None:
            raise UnauthenticatedError("Send an API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.")
        caller = self._keys.caller(presented)
        if caller is None:
            raise UnauthenticatedError("The API key is not known.")
        if needed not in caller.scopes:
            held = ", ".join(sorted(caller.scopes))
            raise ForbiddenError(f"The call needs the scope {needed}; the key {caller.name!r} has {held}.")
        return caller.name

    def _require_local(self, address: str, headers: Mapping[bytes, bytes]) -> None:
        """Without keys only this machine may write: no other machine, no proxy for one, no web page from elsewhere."""
        if not _is_loopback(address) or any(name in headers for name in _PROXY_HEADERS):
            raise ForbiddenError("No API keys are configured (access.keys), so only this machine itself may write.")
        origin = headers.get(b"origin")
        if origin is not None and not self._cross_origin.trusts(origin):
            raise ForbiddenError("No API keys are configured (access.keys), so no page of another origin may write.")


def _presented_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    authorization = headers.get(b"authorization")
    if authorization is None:
        return headers.get(b"x-api-key")
    if authorization[: len(_BEARER)].lower() != _BEARER:
        return None
    return authorization[len(_BEARER) :].strip()


def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)  # ::ffff:127.0.0.1, on a socket for both families
    return (mapped or parsed).is_loopback
