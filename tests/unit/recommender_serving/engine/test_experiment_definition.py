import math
from typing import Any

import msgspec
import pytest

from recommender_serving.engine.experiment_definition import (
    ExclusionSlice,
    ExperimentDefinition,
    Guardrail,
    Variant,
    require_disjoint,
)

ARMS = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}


def definition(**changes: Any) -> ExperimentDefinition:
    return ExperimentDefinition(**{"name": "one", "variants": ARMS, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "names of experiments"),
        ({"name": "a b"}, "'a b'"),
        ({"variants": {"control": ARMS["control"]}}, "at least one other"),
        ({"variants": {"a": ARMS["control"], "b": ARMS["control"]}}, "must hold 'control'"),
        ({"variants": {**ARMS, "interleaved": ARMS["control"]}}, "no variant may be called so"),
        ({"variants": {**ARMS, "third": ARMS["control"]}, "kind": "interleaving"}, "exactly two"),
        ({"kind": "interleaving", "secondary_metrics": ("conversion",)}, "secondary_metrics must be empty"),
        ({"traffic_share": 1.1}, "traffic_share"),
        ({"forced": {"me": "blue"}}, "blue"),
        ({"min_effect_size": -0.1}, "min_effect_size"),
        ({"min_effect_size": math.inf}, "min_effect_size"),
        ({"statistical_power": 1.0}, "statistical_power"),
        ({"significance_level": 0.0}, "significance_level"),
        ({"attribution_hours": 0}, "attribution_hours"),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused_by_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        definition(**changes)


def test_an_unknown_algorithm_is_refused_with_its_path() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"'knn'.*variants.*algorithm"):
        msgspec.convert({"name": "x", "variants": {"control": {"algorithm": "knn"}}}, ExperimentDefinition)


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.5), (-0.1, 0.5), (0.5, 1.1)])
def test_a_slice_is_part_of_its_group(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="start"):
        ExclusionSlice(group="g", start=start, end=end)


def test_weights_and_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="weight"):
        Variant(algorithm="svd", weight=0)
    for outside in (-1.0, 1.1, math.nan):
        with pytest.raises(ValueError, match="popularity_discount"):
            Variant(algorithm="svd", popularity_discount=outside)
        with pytest.raises(ValueError, match="diversity"):
            Variant(algorithm="svd", diversity=outside)
    with pytest.raises(ValueError, match="largest_drop"):
        Guardrail(metric="ctr", largest_drop=-1)


def test_the_fingerprint_changes_with_the_question_not_with_the_traffic() -> None:
    original = definition()
    assert definition(traffic_share=0.2, forced={"me": "control"}).fingerprint == original.fingerprint
    for changes in ({"metric": "conversion"}, {"min_effect_size": 0.01}, {"stop_rule": "sequential"}, {"name": "two"}):
        assert definition(**changes).fingerprint != original.fingerprint


def test_experiments_of_a_group_must_not_overlap() -> None:
    halves = [ExclusionSlice(group="g", start=0, end=0.5), ExclusionSlice(group="g", start=0.5, end=1)]
    require_disjoint([definition(name="a", slice=halves[0]), definition(name="b", slice=halves[1]), definition()])
    wide = ExclusionSlice(group="g", start=0.4, end=1)
    with pytest.raises(ValueError, match="'a' and 'b' overlap in exclusion group 'g'"):
        require_disjoint([definition(name="a", slice=halves[0]), definition(name="b", slice=wide)])
    other_group = ExclusionSlice(group="h", start=0.4, end=1)
    require_disjoint([definition(name="a", slice=halves[0]), definition(name="b", slice=other_group)])


def test_two_experiments_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two experiments are called 'one'"):
        require_disjoint([definition(), definition()])


def test_it_round_trips_through_json() -> None:
    full = definition(
        slice=ExclusionSlice(group="g", start=0, end=0.5), guardrails=(Guardrail(metric="ctr", largest_drop=0.1),)
    )
    assert msgspec.json.decode(msgspec.json.encode(full), type=ExperimentDefinition) == full
