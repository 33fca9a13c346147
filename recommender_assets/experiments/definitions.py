"""The definition of an experiment from `config.yaml`, from flags, or from both."""

from collections.abc import Mapping
from typing import Any

import msgspec

from recommender_assets.settings import Settings
from recommender_serving.engine.config import ConfigError, convert_value
from recommender_serving.engine.experiment_definition import ExperimentDefinition


def experiment_definition(fields: Mapping[str, Any]) -> ExperimentDefinition:
    """The definition with these fields.

    Raises:
        ConfigError: naming the field, its value and the rule.
    """
    return convert_value(dict(fields), f"experiments.{fields['name']}", ExperimentDefinition)


def find_definition(settings: Settings, name: str, changes: Mapping[str, Any]) -> ExperimentDefinition:
    """The definition of that name in section `experiments`, with changes; all of it from the changes if there is none.

    Args:
        settings: the project's.
        name: of the experiment.
        changes: fields of the definition; `control` and `treatment` name the algorithms of these two variants.

    Raises:
        ConfigError: the name is unknown and no variants are given, or a field breaks a rule.
    """
    known = settings.experiments.get(name)
    fields: dict[str, Any] = {"variants": {}} if known is None else msgspec.to_builtins(known)
    algorithms = {arm: changes[arm] for arm in ("control", "treatment") if arm in changes}
    if known is None and len(algorithms) < 2:
        written = ", ".join(settings.experiments) or "none"
        raise ConfigError(
            f"experiments.{name}: expected a definition in config.yaml ({written}) or both --control and --treatment"
        )
    variants = {arm: {**fields["variants"].get(arm, {}), "algorithm": value} for arm, value in algorithms.items()}
    fields |= {key: value for key, value in changes.items() if key not in algorithms}
    return experiment_definition({**fields, "variants": {**fields["variants"], **variants}, "name": name})
