"""What sensors remember between their ticks, as the text that Dagster keeps."""

from typing import TypeVar

import msgspec

Cursor = TypeVar("Cursor", bound=msgspec.Struct)


def read_cursor(text: str | None, kind: type[Cursor]) -> Cursor:
    """Decode a cursor; a missing or foreign one starts afresh, since what is stored elsewhere is what counts."""
    try:
        return msgspec.json.decode(text or "{}", type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return kind()


def cursor_text(cursor: msgspec.Struct) -> str:
    """What `read_cursor` reads."""
    return msgspec.json.encode(cursor).decode()
