"""docs/configuration.md: every key of config.yaml, from the settings of both halves and the shipped file's comments."""

import inspect
import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from recommender_assets.settings import Settings as AssetsSettings
from recommender_serving.engine.config import OVERRIDE_PREFIX, SECTIONS
from recommender_serving.settings import Settings as ServingSettings

_CONFIG = Path(__file__).parents[1] / "config.yaml"
_RENAMED = {"weights": "events.weights"}
_INTRODUCTION = f"""\
# Configuration

Written by `make docs` from the settings of both halves. The file is `config.yaml` in the working directory, or what
`$RECOMMENDER_CONFIG` or `--config` name. A key that is left out has its default; an unknown key or a wrong type stops
the program with the key's path. Every key can be overridden by an environment variable whose value is YAML:
`{OVERRIDE_PREFIX}SECTION__KEY`, for instance `{OVERRIDE_PREFIX}API__PORT=8080` or
`{OVERRIDE_PREFIX}STREAMING__SECURITY__PASSWORD`.
The shipped `config.yaml` sets some keys to other values than the defaults below.
"""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for name, struct in sorted(sections().items()):
        rows = "\n".join(_rows(struct, "", name))
        parts.append(
            f"## `{name}`\n\n{_summary(struct)}\n\n| key | type | default | meaning |\n|---|---|---|---|\n{rows}\n"
        )
    return "\n".join(parts)


def sections() -> dict[str, type[msgspec.Struct]]:
    """Section (dotted where it is inside another one) -> the struct that validates it."""
    found: dict[str, type[msgspec.Struct]] = {}
    for settings in (AssetsSettings, ServingSettings):
        for field in msgspec.structs.fields(settings):
            name, type_ = _RENAMED.get(field.name, field.name), field.type
            if get_origin(type_) is dict:  # named by the user
                name, type_ = f"{name}.NAME", get_args(type_)[1]
            found[name] = type_
    missing = SECTIONS - {name.partition(".")[0] for name in found}
    if missing:
        raise ValueError(f"sections without settings: {', '.join(sorted(missing))}")
    return found


def _rows(struct: type[msgspec.Struct], prefix: str, section: str) -> Iterator[str]:
    meanings = described_attributes(struct)
    for field in msgspec.structs.fields(struct):
        key = f"{prefix}{field.encode_name}"
        inner, inner_key = _struct_of(field.type), f"{key}."
        if inner is None and get_origin(field.type) is dict:
            inner, inner_key = _struct_of(get_args(field.type)[1]), f"{key}.NAME."
        if inner is not None:
            yield from _rows(inner, inner_key, section)
            continue
        meaning = meanings.get(field.name) or _comment(f"{section}.{key}")
        yield f"| `{key}` | {_type_name(field.type)} | {_default(field)} | {_cell(meaning)} |"


def described_attributes(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Attribute -> its text in the docstring's `Attributes:`; several names may share one."""
    text = (inspect.getdoc(struct) or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {5,}.*)*)", text, re.MULTILINE)
    return {name: " ".join(meaning.split()) for names, meaning in entries for name in names.split(", ")}


def _summary(struct: type[msgspec.Struct]) -> str:
    text = (inspect.getdoc(struct) or "").partition("Attributes:\n")[0].strip()
    return re.sub(r"^Section `[\w.]+`: (\w)", lambda found: found[1].upper(), text)


def _comment(path: str) -> str:
    """What the shipped file says behind a key; "" if nothing."""
    at: list[str] = []
    for line in _CONFIG.read_text(encoding="utf-8").splitlines():
        found = re.match(r"^( *)(?:# )?(\w[\w.]*):.*?(?:# (.*))?$", line)
        if found is None or line.startswith("#"):
            continue
        at = [*at[: len(found[1]) // 2], found[2]]
        if ".".join(at) == path:
            return found[3] or ""
    return ""


def _struct_of(type_: Any) -> type[msgspec.Struct] | None:
    return type_ if isinstance(type_, type) and issubclass(type_, msgspec.Struct) else None


def _type_name(type_: Any) -> str:
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(argument) for argument in arguments)
    if origin in (list, tuple):
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"mapping to {_type_name(arguments[1])}"
    names = {int: "integer", float: "number", bool: "`true` or `false`", str: "text", type(None): "null"}
    return names.get(type_) or getattr(type_, "__name__", str(type_)).removesuffix("Settings").lower()


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    elif field.default is not msgspec.NODEFAULT:
        value = field.default
    else:
        return "required"
    if value in ("", (), [], {}):
        return "empty"
    shown = json.dumps(list(value) if isinstance(value, tuple) else value) if not isinstance(value, str) else value
    return f"`{_cell(shown)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
