"""A name for every request, which its answer and its log lines carry."""

import re
from collections.abc import Iterator
from contextvars import ContextVar
from itertools import count
from secrets import token_hex

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")

_VALID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def new_request_ids() -> Iterator[bytes]:
    """Ids that no other process makes: a random prefix and a count."""
    prefix = token_hex(6)
    return (f"{prefix}-{number:x}".encode() for number in count(1))


def is_valid(request_id: bytes) -> bool:
    """Whether an id that a caller sent may be taken over: 1-128 letters, digits, dots, underscores and hyphens."""
    return _VALID.fullmatch(request_id) is not None
