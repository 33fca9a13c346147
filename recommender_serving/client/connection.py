"""What both clients share of their HTTP connection."""

from typing import Any

from recommender_serving.client.calls import Call


def options(address: str, api_key: str | None, timeout_seconds: float) -> dict[str, Any]:
    """Arguments of an httpx client."""
    headers = {"Accept": "application/json, application/problem+json"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    return {"base_url": address, "headers": headers, "timeout": timeout_seconds}


def request_of(call: Call[Any]) -> dict[str, Any]:
    """Arguments of an httpx request."""
    headers = {} if call.body is None else {"Content-Type": "application/json"}
    return {
        "method": call.method,
        "url": call.path,
        "params": call.parameters,
        "content": call.body,
        "headers": headers,
    }
