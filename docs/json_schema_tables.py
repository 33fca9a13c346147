"""JSON Schema objects as Markdown tables."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def fields_table(schema: Schema) -> str:
    """A row for each property: its name, type, limits and meaning."""
    required = schema.get("required", ())
    rows = ["| field | type | rule | meaning |", "|---|---|---|---|"]
    for name, field in schema.get("properties", {}).items():
        rules = [*(["required"] if name in required else []), *limits(field)]
        rows.append(f"| `{name}` | {type_name(field)} | {', '.join(rules)} | {_cell(field.get('description', ''))} |")
    return "\n".join(rows)


def type_name(schema: Schema) -> str:
    """What a value may be, in words; a link where it is an object with a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(type_name(choice) for choice in schema[key]))
    if "enum" in schema:
        return " or ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_name(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {type_name(schema['additionalProperties'])}"
    kinds = schema.get("type", "anything")
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def limits(schema: Schema) -> list[str]:
    """The rules of a value beyond its type, those of its choices included."""
    ranges = (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
    )
    found = []
    for low, high, unit in ranges:
        if low in schema and high in schema:
            found.append(f"{_shown(schema[low])} to {_shown(schema[high])}{unit}")
        elif low in schema:
            found.append(f"at least {_shown(schema[low])}{unit}")
        elif high in schema:
            found.append(f"at most {_shown(schema[high])}{unit}")
    found += [
        text.format(_shown(schema[key]))
        for key, text in (("format", "{}"), ("pattern", "pattern `{}`"))
        if key in schema
    ]
    if schema.get("default") is not None:
        found.append(f"default `{_shown(schema['default'])}`")
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        found += [limit for limit in limits(choice) if limit not in found]
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else _cell(str(value))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
