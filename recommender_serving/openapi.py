"""The description of the HTTP interface: OpenAPI 3.1, complete enough for generated clients.

Routes state what is their own. What holds for all of them follows from the rules that enforce it and is added here:
scopes, the errors that any call may meet, and the headers of answers.
"""

from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Request, Router
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import License, Tag

from recommender_serving.access.scopes import required_scope
from recommender_serving.engine.event_errors import CONTROL_CHARACTER
from recommender_serving.engine.events import event_schema
from recommender_serving.errors import OTHER_CODE, PROBLEM_MEDIA_TYPE, problem_codes
from recommender_serving.recommendation_request import RECIPIENTS
from recommender_serving.settings import Settings

_DESCRIPTION = """\
Recommendations that follow every event within milliseconds.

Every answer carries `X-Request-ID`, the caller's own if one was sent. Errors are `application/problem+json` (RFC 9457)
with a stable `code`:

| code | status | meaning |
|---|---|---|
"""
_TAGS = {
    "recommendations": "What to show to whom.",
    "events": "What users did.",
    "items": "The catalogue.",
    "users": "What is known of a user.",
    "model": "What answers.",
    "operation": "What an operator and their tools ask.",
}
_HEADERS = {
    "X-Request-ID": "Names the request, in the log too; the caller's own if it was valid.",
    "Retry-After": "Seconds after which to try again.",
    "ETag": "Send it as `If-None-Match` to get 304 as long as nothing has changed.",
    "WWW-Authenticate": "How to authenticate.",
}
_ID = {"minLength": 1, "maxLength": 256, "pattern": f"^[^{CONTROL_CHARACTER.pattern[1:-1]}]+$"}


def openapi_config(settings: Settings) -> OpenAPIConfig:
    """What Litestar needs to describe the service."""
    codes = "\n".join(f"| `{code}` | {status} | {meaning} |" for code, (status, meaning) in problem_codes().items())
    return OpenAPIConfig(
        title="Recommender",
        version=version("recommender"),
        description=_DESCRIPTION + codes,
        license=License(name="MIT", identifier="MIT"),
        tags=[Tag(name=name, description=description) for name, description in _TAGS.items()],
        use_handler_docstrings=True,
        openapi_router=Router(
            "/schema", route_handlers=[], before_request=_refuse_unknown_page, include_in_schema=False
        ),
        render_plugins=[_CompleteSchema(settings)],
    )


class _CompleteSchema(JsonRenderPlugin):
    """Serves what Litestar has found out about the routes, completed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(path=["/", "/openapi.json"])
        self._settings = settings
        self._rendered = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The schema as JSON; made at the first call."""
        if not self._rendered:
            completed = complete_schema(msgspec.json.decode(self.render_json(request, openapi_schema)), self._settings)
            self._rendered = msgspec.json.encode(completed)
        return self._rendered


def complete_schema(schema: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Add to a schema (changed in place) what holds for every route.

    Args:
        schema: The OpenAPI document of the routes.
        settings: Whether keys are configured, and the scale of ratings.
    """
    components = schema["components"]
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key as bearer token."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
    }
    components["headers"] = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
    }
    components["schemas"]["Event"] = event_schema(settings.ratings)
    components["schemas"]["ProblemDetails"]["properties"]["code"] = {
        "type": "string",
        "enum": [*problem_codes(), OTHER_CODE],
        "description": "Stable; the description of this interface lists all codes.",
    }
    request = components["schemas"]["RecommendationRequest"]
    request["properties"]["num_recommendations"]["maximum"] = settings.api.max_recommendations
    request["not"] = {"not": _exactly_one(RECIPIENTS)}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete_operation(operation, method.upper(), path, keys=bool(settings.access.keys))
    return schema


def _exactly_one(names: Iterable[str]) -> dict[str, Any]:
    """For use below `not: not:`, since generators of clients take a plain `oneOf` for types without other fields."""
    return {"oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]}


def _complete_operation(operation: dict[str, Any], method: str, path: str, *, keys: bool) -> None:
    scope = required_scope(method, path)
    responses = operation["responses"]
    common = [500]
    if scope is not None:
        operation["x-required-scope"] = scope
        common += [401, 403] if keys else []
        common += [403] if scope != "read" else []
        common += [429, 503]
        if keys:
            operation["security"] = [{"bearer": []}, {"header": []}]
    for status in common:
        responses.setdefault(str(status), _problem(status))
    if method == "GET":
        responses["304"] = {"description": "What `If-None-Match` names is still the answer."}
    for status, response in responses.items():
        names = ["X-Request-ID"]
        names += ["ETag"] if method == "GET" and status in {"200", "304"} else []
        names += ["Retry-After"] if status in {"429", "503"} else []
        names += ["WWW-Authenticate"] if status == "401" else []
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            parameter["schema"] |= _ID
    operation["responses"] = dict(sorted(responses.items()))


def _problem(status: int) -> dict[str, Any]:
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {"description": HTTPStatus(status).phrase, "content": content}


async def _refuse_unknown_page(request: Request[Any, Any, State]) -> None:
    """Litestar itself would answer an unknown page below `/schema` in HTML; here every error is a problem."""
    if "path" in request.path_params:
        raise NotFoundException
