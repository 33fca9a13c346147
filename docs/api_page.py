"""docs/api.md: the HTTP interface as the service describes it in OpenAPI."""

import json
from collections.abc import Iterator
from typing import Any

from docs.json_schema_tables import fields_table, limits, type_name
from recommender_serving.app import create_app
from recommender_serving.openapi import complete_schema
from recommender_serving.settings import Settings

_INTRODUCTION = """\
# HTTP interface

Written by `make docs` from what the service says at `/schema` (OpenAPI 3.1) with default settings; at `/docs` the
service shows the same with a form for each call. Without API keys everybody who reaches the service may call what
needs the scope `read`, and only the machine itself the rest; [security.md](security.md) says how keys are made.
"""
_KINDS = {"application/json": "JSON", "application/x-ndjson": "NDJSON", "application/problem+json": "problem"}


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of the service with default settings."""
    settings = Settings()
    document = create_app(settings).openapi_schema.to_schema()
    return complete_schema(json.loads(json.dumps(document)), settings)


def page() -> str:
    """The whole page."""
    document = openapi_document()
    parts = [_INTRODUCTION, document["info"]["description"].partition("\n")[2].strip()]
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for tag in document["tags"]:
        parts.append(f"\n## {tag['name'].capitalize()}\n\n{tag['description']}")
        parts += [_operation(*entry) for entry in operations if tag["name"] in entry[2]["tags"]]
    parts.append("\n## Objects")
    for name, schema in sorted(document["components"]["schemas"].items()):
        description = f"{schema['description']}\n\n" if schema.get("description") else ""
        parts.append(f"\n### {name}\n\n{description}{fields_table(schema)}")
    return "\n".join(parts) + "\n"


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [f"\n### `{method} {path}`", "", operation["summary"] + "."]
    if operation.get("description"):
        lines += ["", operation["description"]]
    if "x-required-scope" in operation:
        lines += ["", f"Scope: `{operation['x-required-scope']}`."]
    if operation.get("parameters"):
        lines += ["", "| parameter | in | type | rule | meaning |", "|---|---|---|---|---|"]
        lines += [_parameter(parameter) for parameter in operation["parameters"]]
    if "requestBody" in operation:
        lines += ["", "Body: " + "; ".join(_contents(operation["requestBody"])) + "."]
    lines += ["", "| status | answer |", "|---|---|"]
    lines += [
        f"| {status} | {'; '.join(_contents(response)) or response['description']} |"
        for status, response in operation["responses"].items()
    ]
    return "\n".join(lines)


def _parameter(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    rules = [*(["required"] if parameter["required"] else []), *limits(schema)]
    meaning = parameter.get("description", "")
    return f"| `{parameter['name']}` | {parameter['in']} | {type_name(schema)} | {', '.join(rules)} | {meaning} |"


def _contents(body: dict[str, Any]) -> Iterator[str]:
    for media_type, content in body.get("content", {}).items():
        yield f"{_KINDS.get(media_type, media_type)}: {type_name(content.get('schema', {}))}"
