import math

import pytest

from recommender_assets.experiments.simulation.simulate import participants, visitors_for
from recommender_serving.engine.assignment import Assigner
from recommender_serving.engine.experiment_definition import Variant
from recommender_serving.engine.running_experiments import RunningExperiment
from tests.unit.recommender_assets.experiments.runs import ARMS, definition


def arms_of(names: list[str], **changes: object) -> list[str]:
    assigner = Assigner(definition(**changes))
    return [assignment.variant for name in names if (assignment := assigner.assign(name)) is not None]


def test_visitors_come_until_every_arm_has_its_users_and_no_longer() -> None:
    names = participants(definition(), 200)
    arms = arms_of(names)
    assert min(arms.count("control"), arms.count("treatment")) == 200
    assert arms.count(arms[-1]) == 200
    assert len(set(names)) == len(names) == len(arms)


def test_the_smallest_arm_decides() -> None:
    variants = {**ARMS, "small": Variant(algorithm="nmf", weight=0.1)}
    arms = arms_of(participants(definition(variants=variants), 50), variants=variants)
    assert arms.count("small") == 50
    assert arms.count("control") == pytest.approx(500, rel=0.3)


def test_of_an_interleaving_experiment_enough_visitors_click() -> None:
    experiment = RunningExperiment(
        definition=definition(kind="interleaving"), started_us=0, users_per_arm=300, variances=(1.0, 0.0)
    )
    assert len(visitors_for(experiment, 0.15)) == math.ceil(1.1 * 300 / 0.15)
