"""The conditions on the real asset graph, by real runs on a temporary instance.

What needs Spark or minutes of training is materialised by stand-ins with the same keys, dependencies and checks.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recommender_assets.definitions import defs
from recommender_assets.defs import conditions
from recommender_assets.defs.automation import followers_sensor, judgement_sensor
from recommender_assets.defs.interactions.assets import profiles
from recommender_assets.defs.interactions.partitions import history_months
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.settings import Settings, load_settings

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # of `evaluate_automation_conditions`

PROFILES = {"user_profiles", "item_profiles"}
TRAINING = ("user_item_matrix", "reduced_features", "svd_model", "nmf_model", "evaluation_report", "champion")


class Graph:
    """The project's assets on an instance: runs of stand-ins, and what the conditions ask for after them."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        self.definitions = defs()
        self._instance = instance
        self._settings = settings
        self._cursor: Any = None

    def run(
        self,
        *names: str,
        failed_checks: bool = False,
        month: str | None = None,
        during: Callable[[], None] = lambda: None,
    ) -> None:
        """Materialise assets in one run; `during` is called when all but the last of them are done."""
        calls: list[Callable[[], object]] = [*([lambda: None] * (len(names) - 1)), during]
        assets = [self._stand_in(name, call, passed=not failed_checks) for name, call in zip(names, calls, strict=True)]
        dg.materialize(assets, instance=self._instance, partition_key=month, raise_on_error=False)

    def run_profiles(self) -> None:
        """A real refresh of the profiles."""
        assert dg.materialize([profiles], instance=self._instance, resources={"settings": self._settings}).success

    def requested(self) -> set[str]:
        """One evaluation of all conditions: what they ask for now."""
        result = dg.evaluate_automation_conditions(self.definitions, self._instance, cursor=self._cursor)
        self._cursor = result.cursor
        return {found.key.to_user_string() for found in result.results if result.get_num_requested(found.key)}

    def _stand_in(self, name: str, during: Callable[[], object], *, passed: bool) -> dg.AssetsDefinition:
        graph = self.definitions.resolve_asset_graph()
        key = dg.AssetKey(name)
        checks = [graph.get_check_spec(check) for check in graph.get_check_keys_for_assets({key})]
        partitions = history_months if name == "interaction_history" else None

        @dg.multi_asset(
            name=f"stand_in_for_{name}",
            specs=[dg.AssetSpec(name, deps=list(graph.get(key).parent_keys))],
            check_specs=checks,
            partitions_def=partitions,
        )
        def stand_in() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
            during()
            yield dg.MaterializeResult(asset_key=name)
            for check in checks:
                yield dg.AssetCheckResult(passed=passed, asset_key=key, check_name=check.name)

        return stand_in


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    settings = load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})
    create_tables(settings.root)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(instance, settings)


def test_every_condition_is_named_explained_and_in_use(graph: Graph) -> None:
    source = Path(conditions.__file__).read_text("utf-8")
    for name in ("FOLLOWS_ITS_DATA", "FOLLOWS_A_NEW_MODEL", "FOLLOWS_AN_EVALUATION"):
        condition = getattr(conditions, name)
        assert condition.get_label() == name.lower().replace("_", " ")
        assert '"""Fires when' in source.split(f"\n{name} =")[1].split("\n\n")[0]
    labels = {
        spec.key.to_user_string(): spec.automation_condition.get_label()
        for spec in graph.definitions.resolve_all_asset_specs()
        if spec.automation_condition
    }
    assert labels == {
        "user_profiles": "follows its data",
        "item_profiles": "follows its data",
        "reduced_features": "follows its data",
        "evaluation_report": "follows a new model",
        "champion": "follows an evaluation",
    }


def test_each_asset_with_a_condition_is_evaluated_by_one_sensor_that_runs(graph: Graph) -> None:
    repository = graph.definitions.get_repository_def()
    assert "default_automation_condition_sensor" not in {sensor.name for sensor in repository.sensor_defs}
    for sensor in (followers_sensor, judgement_sensor):
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert sensor.description
    assert judgement_sensor.run_tags == {"recommender/trains": "true"}


def test_nothing_is_asked_for_before_there_is_anything(graph: Graph) -> None:
    assert graph.requested() == set()


def test_profiles_follow_new_interactions_once(graph: Graph) -> None:
    graph.run("interactions")
    assert graph.requested() == PROFILES, "also at the first evaluation"
    assert graph.requested() == set(), "a request is not repeated"
    graph.run_profiles()
    assert graph.requested() == set()
    graph.run("interactions")
    assert graph.requested() == PROFILES


def test_a_burst_is_one_request(graph: Graph) -> None:
    graph.run("interactions")
    graph.run_profiles()
    graph.requested()
    for month in ("1996-01", "1996-02", "1996-03"):
        graph.run("interaction_history", month=month)
    for _ in range(5):
        graph.run("interactions")
    graph.run("items")
    assert graph.requested() == PROFILES
    assert graph.requested() == set()


def test_imported_months_reach_the_profiles_though_others_are_missing(graph: Graph) -> None:
    graph.run("interactions")
    graph.run_profiles()
    graph.requested()
    graph.run("interaction_history", month="1996-02")
    assert graph.requested() == PROFILES


def test_profiles_wait_for_a_blocking_check_of_an_earlier_run(graph: Graph) -> None:
    graph.run("interactions", failed_checks=True)
    assert graph.requested() == set()
    graph.run("interaction_history", month="1996-02")
    assert graph.requested() == set()
    graph.run("interactions")
    assert graph.requested() == PROFILES


def test_a_run_that_refreshes_the_profiles_itself_needs_no_second_one(graph: Graph) -> None:
    seen: list[set[str]] = []
    graph.requested()
    graph.run("interactions", "user_profiles", "item_profiles", during=lambda: seen.append(graph.requested()))
    assert seen == [set()], "the run is still going"
    assert graph.requested() == set()


def test_a_training_run_is_followed_by_nothing(graph: Graph) -> None:
    graph.requested()
    seen: list[set[str]] = []
    graph.run(*TRAINING, during=lambda: seen.append(graph.requested()))
    assert seen == [set()]
    assert graph.requested() == set()


def test_a_model_trained_by_hand_is_evaluated_and_decided_on_in_one_run(graph: Graph) -> None:
    graph.run(*TRAINING)
    graph.requested()
    graph.run("svd_model")
    assert graph.requested() == {"evaluation_report", "champion"}
    assert graph.requested() == set()


def test_a_model_that_is_not_sound_is_not_evaluated(graph: Graph) -> None:
    graph.run(*TRAINING)
    graph.requested()
    graph.run("nmf_model", failed_checks=True)
    assert graph.requested() == set()


def test_a_new_matrix_makes_features_and_evaluates_nothing(graph: Graph) -> None:
    graph.run(*TRAINING)
    graph.requested()
    graph.run("user_item_matrix")
    assert graph.requested() == {"reduced_features"}


@pytest.mark.parametrize(("failed", "expected"), [(False, {"champion"}), (True, set())])
def test_an_evaluation_by_hand_is_decided_on_if_something_beats_the_floors(
    graph: Graph, *, failed: bool, expected: set[str]
) -> None:
    graph.run(*TRAINING)
    graph.requested()
    graph.run("evaluation_report", failed_checks=failed)
    assert graph.requested() == expected


def test_one_model_alone_is_nothing_to_evaluate(graph: Graph) -> None:
    graph.requested()
    graph.run("user_item_matrix", "reduced_features")
    graph.run("svd_model")
    assert graph.requested() == set()
