"""Hyper-parameters in Dagster's launchpad."""

from typing import Any, get_args

import dagster as dg
import msgspec

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.hyper_parameters import meanings

_TYPES: dict[Any, Any] = {int: int, float: float, bool: bool}


def launchpad_fields(defaults: SvdSettings | NmfSettings) -> dict[str, dg.Field]:
    """One field for each hyper-parameter: its type, its meaning, and as default what the configuration says."""
    told = meanings(type(defaults))
    return {
        field.name: dg.Field(
            _TYPES.get(field.type) or _choice(field),
            default_value=getattr(defaults, field.name),
            description=told[field.name],
        )
        for field in msgspec.structs.fields(defaults)
    }


def changes(config: dict[str, Any], defaults: SvdSettings | NmfSettings) -> dict[str, Any]:
    """What a run asks to be otherwise than configured."""
    return {name: value for name, value in config.items() if value != getattr(defaults, name)}


def _choice(field: msgspec.structs.FieldInfo) -> dg.Enum:
    return dg.Enum(field.name, [dg.EnumValue(value) for value in get_args(field.type)])
