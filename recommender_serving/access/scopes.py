"""Which scope a call needs."""

from typing import Literal

Scope = Literal["read", "write", "admin"]

_OPEN_PATHS = frozenset({"/", "/docs", "/health/live", "/health/ready", "/metrics"})
_OPEN_FOLDERS = ("/page/", "/schema")
_QUESTIONS_WITH_A_BODY = frozenset({"/recommendations"})


def required_scope(method: str, path: str) -> Scope | None:
    """The scope that a call needs; None for what holds no data of users: page, documentation, health, metrics.

    Everything that is not known to be harmless needs more: a method decides, not a list of dangerous paths.

    Args:
        method: HTTP method in capitals.
        path: The path as it is routed.
    """
    if method in {"GET", "HEAD"}:
        return None if path in _OPEN_PATHS or path.startswith(_OPEN_FOLDERS) else "read"
    if method == "DELETE":
        return "admin"
    if method == "POST" and path in _QUESTIONS_WITH_A_BODY:
        return "read"
    return "write"
