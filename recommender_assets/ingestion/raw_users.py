"""Whose id a rejected record or row carries, as far as its bytes say."""

import re
from collections.abc import Set
from typing import Any

import msgspec

_USER_FIELD = re.compile(rb'"user_id"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(-?\d+))')
_SEPARATORS = re.compile(r"[,;|\t\"\r\n]+")


def users_of_record(key: bytes | None, value: bytes | None, users: Set[str]) -> Set[str]:
    """Those of `users` whose id is the record's key, or stands in field `user_id` of its value.

    A value that is no JSON document, or only the beginning of one, is searched for the field.
    """
    named = set() if key is None else {key.decode("utf-8", "replace")}
    if value is not None:
        try:
            named.add(_field(msgspec.json.decode(value)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            named |= {_text(*found) for found in _USER_FIELD.findall(value)}
    return named & users


def users_of_row(text: str | None, column: str, users: Set[str]) -> Set[str]:
    """Those of `users` whom a row of `rejected_history` names.

    Args:
        text: the row as JSON, or, if it could not be read as one, as it stood in the file.
        column: the source's column with the user's id; a row that is no JSON is searched for it among all its values.
        users: who is looked for.
    """
    if text is None:
        return set()
    try:
        return {_field(msgspec.json.decode(text), column)} & users
    except (msgspec.MsgspecError, RecursionError):
        return {value.strip() for value in _SEPARATORS.split(text)} & users


def _field(document: Any, name: str = "user_id") -> str:
    found = document.get(name) if isinstance(document, dict) else None
    return str(found) if isinstance(found, str | int) else ""


def _text(quoted: bytes, number: bytes) -> str:
    if number:
        return str(int(number))
    try:
        return msgspec.json.decode(b'"' + quoted + b'"', type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return quoted.decode("utf-8", "replace")
