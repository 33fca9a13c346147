"""A planted effect: visitors, service, broker, Delta and Dagster, to a verdict."""

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import msgspec
import numpy as np
import pyarrow.compute as pc
import pytest
from confluent_kafka.admin import AdminClient
from pyspark.sql import SparkSession

from recommender_assets.defs import resources as resource_definitions
from recommender_assets.defs.experiments.assets import recommendation_log
from recommender_assets.defs.experiments.reports import experiment_report
from recommender_assets.experiments import ABTestFramework
from recommender_assets.experiments.records import begin, read_ending
from recommender_assets.experiments.simulation import pilot
from recommender_assets.experiments.simulation.calendar import Visit
from recommender_assets.experiments.simulation.population import population_of
from recommender_assets.experiments.simulation.simulate import participants, simulate
from recommender_assets.experiments.simulation.storage import new_simulation_root, simulation_root
from recommender_assets.experiments.simulation.system import running_system
from recommender_assets.experiments.simulation.visitors import Crowd
from recommender_assets.features.matrix import UserItemMatrix, matrix_directory, save_matrix
from recommender_assets.ingestion.tables import read_table
from recommender_assets.promotion.registry import Registry
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import ChampionPointer, version_directory, write_pointer
from recommender_serving.engine.factor_model import write_model
from recommender_serving.engine.running_experiments import RunningExperiment, read_running
from tests.factories import make_model
from tests.matrices import events_table, matrix_from

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::dagster.BetaWarning"
)
USERS, GOOD, OTHERS = 40, 20, 60
ARM = 150


@pytest.fixture
def matrix(settings: Settings) -> UserItemMatrix:
    """Everybody loves the same films; nobody has seen the others, of which one strange user knows."""
    good = [(f"u{user}", f"good{item:02d}", "rating", 5.0) for user in range(USERS) for item in range(GOOD)]
    others = [("stranger", f"other{item:02d}", "rating", 1.0) for item in range(OTHERS)]
    matrix = matrix_from(events_table([*good, *others]))
    save_matrix(matrix_directory(settings.root), matrix)
    return matrix


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A larger hold-out, so that visitors like several films that no model has seen them rate."""
    return msgspec.structs.replace(settings, training=msgspec.structs.replace(settings.training, hold_out_share=0.3))


@pytest.fixture
def asked(settings: Settings, matrix: UserItemMatrix, monkeypatch: pytest.MonkeyPatch) -> ABTestFramework:
    """Control knows nothing of films, the treatment what everybody loves."""
    ids = list(matrix.item_ids)
    loved = np.array([[1.0 if item.startswith("good") else 0.0] * 4 for item in ids], np.float32)
    clueless, wise = make_model("svd", item_ids=ids), make_model("nmf", item_ids=ids)
    deployed = {}
    for model in (clueless, replace(wise, ranking=replace(wise.ranking, item_factors=loved))):
        directory = version_directory(settings.root, model.version)
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, model)
        deployed[model.algorithm] = model.version
    pointer = ChampionPointer(version=deployed["svd"], predecessor=None, deployed=deployed, promoted_at="now")
    write_pointer(settings.root, pointer)
    monkeypatch.setattr(pilot, "PILOT_VISITORS", 200)
    return ABTestFramework("planted", "svd", "nmf", min_effect_size=0.2, settings=settings)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_a_simulated_experiment_finds_the_planted_effect(
    settings: Settings, asked: ABTestFramework, spark: SparkSession
) -> None:
    result = asked.run_experiment(duration_days=3)
    assert result.decision == "treatment"
    assert result["lift"] > 1
    assert result.confidence_interval is not None
    assert result.confidence_interval[0] > 0.5
    assert result.p_value is not None
    assert result.p_value < 1e-6
    assert min(result.samples.values()) == result.sample_size
    assert result.sample_ratio_p_value > 0.001
    assert result.looks[-1].day == 2
    assert result.traffic == "simulated"
    assert f"{USERS + 1} real users" in result.population

    root = simulation_root(settings.root, "planted")
    log = read_table(root, "recommendation_log").filter(pc.field("experiment") == "planted")
    seen = log.filter(pc.invert(pc.field("forced")))
    assert len(set(seen["user_id"].to_pylist())) == sum(result.samples.values())
    assert set(zip(seen["variant"].to_pylist(), seen["algorithm"].to_pylist(), strict=True)) == {
        ("control", "svd"),
        ("treatment", "nmf"),
    }
    (verdict,) = read_table(settings.root, "experiment_verdicts").to_pylist()
    assert (verdict["experiment"], verdict["decision"], verdict["traffic"]) == ("planted", "treatment", "simulated")
    registry = Registry(settings)
    (run,) = registry.client.search_runs([registry.experiment_id], "tags.`recommender.experiment` = 'planted'")
    assert run.data.tags["treatment.decision"] == "treatment"
    assert not read_running(settings.root)
    topics = AdminClient({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers}).list_topics(timeout=10)
    assert not [topic for topic in topics.topics if topic.startswith("experiment-planted")]


def test_an_experiment_with_users_of_the_service_ends_by_its_daily_report(
    settings: Settings,
    asked: ABTestFramework,
    matrix: UserItemMatrix,
    spark: SparkSession,
    instance: dg.DagsterInstance,
) -> None:
    population = population_of(matrix, settings.training.hold_out_share)
    crowd = Crowd(participants(asked.definition, ARM), population, seed=3)
    experiment = RunningExperiment(
        definition=asked.definition, started_us=time.time_ns() // 1_000, users_per_arm=ARM, variances=(0.16, 0.24)
    )
    root = new_simulation_root(settings.root, asked.definition)
    with running_system(settings, root, "planted") as system:
        begin(root, experiment)
        system.wait_for_experiment("planted")
        visits = [Visit(number, True) for number in range(len(crowd.names))]
        assert sum(map(len, crowd.visit(system.address, 0, visits))) == len(visits)
        system.stop_service()
        today = dt.datetime.now(dt.UTC).date()
        result = materialise(system.settings, instance, today)
    (event,) = result.asset_materializations_for_node("experiment_report")
    assert event.metadata["experiments"].value == 1
    assert event.metadata["stopped"].value == ["planted"]
    assert "data:image/png" in str(event.metadata["planted_effect"].value)
    (verdict,) = read_table(root, "experiment_verdicts").to_pylist()
    assert (verdict["decision"], verdict["traffic"], verdict["day"]) == ("treatment", "logged", today)
    assert min(dict(verdict["users"]).values()) == ARM
    ending = read_ending(root, "planted")
    assert ending is not None
    assert ending.reason.startswith("treatment is better in ctr")
    assert not read_running(root)


def test_interleaved_lists_show_whose_films_visitors_prefer(
    settings: Settings, asked: ABTestFramework, spark: SparkSession
) -> None:
    definition = msgspec.structs.replace(asked.definition, name="blended", kind="interleaving", min_effect_size=0.5)
    (result,) = simulate(settings, definition, 2, 0, lambda *_: None).results
    assert result.decision == "treatment"
    assert result.difference is not None
    assert result.difference > 0.5
    assert result.sample_size == 52
    assert result.samples["interleaved"] >= 52
    log = read_table(simulation_root(settings.root, "blended"), "recommendation_log")
    placed = log.filter(pc.field("variant") == "interleaved")["teams"].to_pylist()
    assert {team for teams in placed for team in teams} == {"control", "treatment"}


def materialise(settings: Settings, instance: dg.DagsterInstance, day: dt.date) -> dg.ExecuteInProcessResult:
    from recommender_assets.defs.interactions.assets import interactions

    resources = {"settings": settings, "spark": resource_definitions.spark}
    assert dg.materialize([recommendation_log, interactions], instance=instance, resources=resources).success
    result = dg.materialize(
        [experiment_report], partition_key=day.isoformat(), instance=instance, resources={"settings": settings}
    )
    assert result.success
    return result
