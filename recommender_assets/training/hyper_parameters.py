"""Hyper-parameters by name: what they are, what they mean, and settings with some of them changed."""

import inspect
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from recommender_assets.settings import NmfSettings, Settings, SvdSettings
from recommender_serving.engine.config import convert_value

_ATTRIBUTE = re.compile(r"^ {4}(?P<name>\w+): (?P<meaning>.*(?:\n {8}.*)*)", re.MULTILINE)


def meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What each field of a settings struct means, from its docstring."""
    found = _ATTRIBUTE.finditer(inspect.getdoc(struct) or "")
    return {match["name"]: " ".join(match["meaning"].split()) for match in found}


def recorded_parameters(settings: Settings, algorithm: Literal["svd", "nmf"]) -> dict[str, Any]:
    """What a model records of how it was trained."""
    hyper_parameters = msgspec.to_builtins(getattr(settings.models, algorithm))
    return {
        **hyper_parameters,
        "hold_out_share": settings.training.hold_out_share,
        "engine": settings.training.engine,
    }


def with_hyper_parameters(settings: Settings, algorithm: Literal["svd", "nmf"], changes: Mapping[str, Any]) -> Settings:
    """The settings with some hyper-parameters of an algorithm changed, under the same rules as `config.yaml`.

    Raises:
        ConfigError: naming the key's path, the value and what was expected.
    """
    current = getattr(settings.models, algorithm)
    kind: type[SvdSettings | NmfSettings] = type(current)
    changed = convert_value(msgspec.to_builtins(current) | dict(changes), f"models.{algorithm}", kind)
    return msgspec.structs.replace(settings, models=msgspec.structs.replace(settings.models, **{algorithm: changed}))
