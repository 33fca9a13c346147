from pathlib import Path
from typing import Any

import pytest

from recommender_assets.experiments.definitions import find_definition
from recommender_assets.settings import load_settings
from recommender_serving.engine.config import ConfigError

SETTINGS = load_settings(Path(__file__).parents[4] / "config.yaml", environ={})


def test_the_shipped_definition_is_found() -> None:
    found = find_definition(SETTINGS, "new_algorithm_test", {})
    assert found == SETTINGS.experiments["new_algorithm_test"]


def test_flags_go_over_the_file() -> None:
    found = find_definition(SETTINGS, "new_algorithm_test", {"metric": "conversion", "treatment": "svd"})
    assert found.metric == "conversion"
    assert {arm: variant.algorithm for arm, variant in found.variants.items()} == {"control": "svd", "treatment": "svd"}
    assert found.min_effect_size == SETTINGS.experiments["new_algorithm_test"].min_effect_size


def test_flags_alone_are_enough() -> None:
    found = find_definition(SETTINGS, "mine", {"control": "nmf", "treatment": "svd", "statistical_power": 0.8})
    assert found.name == "mine"
    assert found.statistical_power == 0.8


@pytest.mark.parametrize("changes", [{}, {"control": "svd"}, {"treatment": "nmf", "metric": "ctr"}])
def test_an_unknown_name_needs_both_algorithms(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"experiments\.mine: expected .*new_algorithm_test.* both --control"):
        find_definition(SETTINGS, "mine", changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"statistical_power": 1.0}, "statistical_power must lie between 0 and 1, both excluded, got 1.0"),
        ({"significance_level": 0.0}, "significance_level must lie between 0 and 1, both excluded, got 0.0"),
        ({"min_effect_size": -0.02}, "min_effect_size must be greater than 0, got -0.02"),
        ({"treatment": "als"}, r"variants\.treatment\.algorithm"),
    ],
)
def test_a_broken_rule_names_field_value_and_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"experiments\.new_algorithm_test.*" + message):
        find_definition(SETTINGS, "new_algorithm_test", changes)
