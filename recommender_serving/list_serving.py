"""Who draws up a user's list (an arm of an experiment, else the champion), and the books of what was served."""

from collections.abc import Iterator
from typing import NamedTuple, get_args

from recommender_serving.answers import Source
from recommender_serving.deployment import Deployment
from recommender_serving.engine.experiment_definition import Variant
from recommender_serving.errors import AlgorithmNotDeployedError
from recommender_serving.experiments import Arm, Experiments
from recommender_serving.metrics import Metrics
from recommender_serving.recommendation_log import RecommendationLog
from recommender_serving.rendered_list import ListSettings
from recommender_serving.snapshot import Snapshot


class Ranker(NamedTuple):
    """One model with the settings it ranks by, and the arm it does so for ("" outside experiments)."""

    arm: str
    snapshot: Snapshot
    wanted: ListSettings


class Plan(NamedTuple):
    """Who draws up a list: one ranker, or control and treatment of an interleaved list."""

    arm: Arm | None
    rankers: tuple[Ranker, ...]


class ListServing:
    """Plans lists, then names, counts and logs those that were served.

    Args:
        experiments: Who is in which arm.
        log: Where served lists go.
        metrics: Where lists are counted.
        ranking_ids: A name for every list.
    """

    def __init__(
        self, experiments: Experiments, log: RecommendationLog, metrics: Metrics, ranking_ids: Iterator[bytes]
    ) -> None:
        self._experiments = experiments
        self._log = log
        self._served = {source: metrics.recommendations.labels(source) for source in get_args(Source)}
        self._ranking_ids = ranking_ids

    def plan_without_experiment(self, deployment: Deployment, algorithm: str | None, wanted: ListSettings) -> Plan:
        """The deployed model of the algorithm, the champion if none is named.

        Raises:
            AlgorithmNotDeployedError: no model of the algorithm is in service.
        """
        return Plan(None, (Ranker("", deployment.of(algorithm), wanted),))

    def plan(self, deployment: Deployment, user_id: str, wanted: ListSettings, variant: str | None) -> Plan:
        """Who draws up the list of a user; without the arm's model in service it is the champion, outside experiments.

        Args:
            deployment: The models that answer.
            user_id: For whom.
            wanted: What is asked for; an arm has settings of its own for how it is ranked.
            variant: `EXPERIMENT:VARIANT` to try out.

        Raises:
            AlgorithmNotDeployedError: the model of the variant to try out is not in service.
            VariantNotRunningError: the variant to try out is not running.
        """
        arm = self._experiments.arm_of(user_id) if variant is None else self._experiments.forced_arm(variant)
        if arm is None:
            return Plan(None, (Ranker("", deployment.champion, wanted),))
        rankers = []
        for name, settings in arm.rankers.items():
            snapshot = _deployed(deployment, settings)
            if snapshot is None:
                if variant is not None:
                    raise AlgorithmNotDeployedError(f"variant: the model of {variant} is not in service")
                arm.fallbacks.inc()
                return Plan(None, (Ranker("", deployment.champion, wanted),))
            settled = ListSettings(wanted.n, wanted.exclude_seen, settings.popularity_discount, settings.diversity)
            rankers.append(Ranker(name, snapshot, settled))
        return Plan(arm, tuple(rankers))

    def book(
        self, plan: Plan, user_id: str, source: Source, items: tuple[str, ...], teams: tuple[str, ...] | None = None
    ) -> bytes:
        """Count and log a list that is being served; returns its ranking id.

        Args:
            plan: Who drew it up.
            user_id: Who gets it; "" for a session, which is not logged, for nobody's behaviour could be told from it.
            source: As in the answer.
            items: Item ids in the order shown.
            teams: Of an interleaved list, the arm that placed each item.
        """
        ranking_id = next(self._ranking_ids)
        self._served[source].inc()
        reference = None
        if plan.arm is not None:
            plan.arm.exposures.inc()
            reference = plan.arm.reference
        if user_id and self._log.holds(user_id, reference):
            models = tuple(ranker.snapshot.reference for ranker in plan.rankers)
            self._log.write(user_id, ranking_id, items, models, source, reference, teams)
        return ranking_id


def _deployed(deployment: Deployment, variant: Variant) -> Snapshot | None:
    if variant.version is None:
        return deployment.by_algorithm.get(variant.algorithm)
    snapshot = deployment.by_version.get(variant.version)
    return snapshot if snapshot is not None and snapshot.model.algorithm == variant.algorithm else None
