"""Which running experiment a user's list belongs to: follows `experiments/RUNNING.json`, assigns users to arms."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from recommender_serving.answers import ExperimentReference, Reason
from recommender_serving.engine.assignment import Assigner, Assignment
from recommender_serving.engine.experiment_definition import INTERLEAVED, Variant
from recommender_serving.engine.running_experiments import ExperimentError, RunningExperiment, read_running
from recommender_serving.errors import VariantNotRunningError
from recommender_serving.loop_metrics import LoopCounter
from recommender_serving.metrics import Metrics

REFUSED = "experiments_refused"
_KEPT_USERS = 65_536

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """What the users of one arm are shown.

    Attributes:
        reference: The experiment and variant as answers and the log name them.
        json: The same as JSON.
        rankers: Arm -> variant that draws up the list; control and treatment of an interleaved list, else one.
        exposures: Counts lists of this arm.
        fallbacks: Counts lists that the champion had to answer instead.
    """

    reference: ExperimentReference
    json: bytes
    rankers: dict[str, Variant]
    exposures: LoopCounter
    fallbacks: LoopCounter


class Experiments:
    """The running experiments, and the arm of every user.

    A list belongs to one experiment. A user who would take part in several is in the one that started first, so an
    experiment never loses users to a later one; forced users come before that.

    Args:
        root: The storage root, below which the running experiments are written down.
        interval_seconds: How often to look.
        metrics: Where exposures go, and what is running.
    """

    def __init__(self, root: Path, interval_seconds: float, metrics: Metrics) -> None:
        self._root = root
        self._interval_seconds = interval_seconds
        self._metrics = metrics
        self._running: tuple[RunningExperiment, ...] = ()
        self._assigners: tuple[Assigner, ...] = ()
        self._refusal = ""
        self._forget_users()

    def arm_of(self, user_id: str) -> Arm | None:
        """The user's arm, the same at every call and on every replica; None for who takes part in nothing."""
        return self._arm_of(user_id) if self._assigners else None

    def forced_arm(self, name: str) -> Arm:
        """The arm `EXPERIMENT:VARIANT`, to try it out.

        Raises:
            VariantNotRunningError: there is no such arm at the moment.
        """
        experiment, _, variant = name.partition(":")
        for assigner in self._assigners:
            if assigner.definition.name == experiment and variant in assigner.definition.variants:
                return self._arm(assigner, Assignment(experiment, variant, forced=True))
        known = ", ".join(self._names()) or "none"
        raise VariantNotRunningError(f"variant: expected one that is running ({known}), got {name}")

    def versions(self) -> frozenset[str]:
        """Model versions that running experiments name."""
        arms = (arm for one in self._running for arm in one.definition.variants.values())
        return frozenset(arm.version for arm in arms if arm.version is not None)

    def reasons(self) -> list[Reason]:
        """What degrades the service at the moment."""
        return [Reason(code=REFUSED, detail=self._refusal)] if self._refusal else []

    def observe(self) -> None:
        """Bring the metrics of state up to date."""
        self._metrics.degraded.labels(REFUSED).set(bool(self._refusal))

    async def watch(self) -> None:
        """Look at the file for ever."""
        while True:
            try:
                await self.refresh()
            except Exception:  # the watch must outlive whatever is in the file
                logger.exception("looking after the experiments failed")
            await asyncio.sleep(self._interval_seconds)

    async def refresh(self) -> None:
        """Look at the file once; while it is damaged, what ran before goes on."""
        try:
            running = await asyncio.to_thread(read_running, self._root)
        except (ExperimentError, OSError) as error:
            self._refuse(f"the running experiments cannot be read: {error}")
            return
        self._refusal = ""
        if running != self._running:
            self._replace(running)

    def _replace(self, running: Sequence[RunningExperiment]) -> None:
        self._running = tuple(running)
        in_order = sorted(running, key=lambda one: (one.started_us, one.definition.name))
        self._assigners = tuple(Assigner(one.definition) for one in in_order)
        self._forget_users()
        self._metrics.running_experiments.clear()
        for assigner in self._assigners:
            self._metrics.running_experiments.labels(assigner.definition.name).set(1)
        logger.info("running experiments: %s", ", ".join(one.definition.name for one in in_order) or "none")

    def _forget_users(self) -> None:
        self._arm_of = lru_cache(_KEPT_USERS)(self._work_out_arm)
        self._arms: dict[Assignment, Arm] = {}

    def _work_out_arm(self, user_id: str) -> Arm | None:
        assigned = [(assigner, assigner.assign(user_id)) for assigner in self._assigners]
        taking_part = [(assigner, assignment) for assigner, assignment in assigned if assignment is not None]
        if not taking_part:
            return None
        return self._arm(*min(taking_part, key=lambda one: not one[1].forced))

    def _arm(self, assigner: Assigner, assignment: Assignment) -> Arm:
        """The one object for an arm of an experiment."""
        definition = assigner.definition
        is_interleaved = definition.kind == "interleaving" and not assignment.forced
        variant = INTERLEAVED if is_interleaved else assignment.variant
        key = msgspec.structs.replace(assignment, variant=variant)
        if key not in self._arms:
            arms = ("control", *definition.treatments) if is_interleaved else (assignment.variant,)
            reference = ExperimentReference(name=definition.name, variant=variant, forced=assignment.forced)
            self._arms[key] = Arm(
                reference=reference,
                json=msgspec.json.encode(reference),
                rankers={arm: definition.variants[arm] for arm in arms},
                exposures=self._metrics.experiment_lists.labels(definition.name, variant, _kind(assignment)),
                fallbacks=self._metrics.experiment_lists.labels(definition.name, variant, "not_deployed"),
            )
        return self._arms[key]

    def _names(self) -> Iterator[str]:
        for assigner in self._assigners:
            yield from (f"{assigner.definition.name}:{arm}" for arm in assigner.definition.variants)

    def _refuse(self, detail: str) -> None:
        """Keep what runs and say why; the same refusal is counted and logged once."""
        if detail != self._refusal:
            self._metrics.refused_experiments.inc()
            logger.error("%s", detail)
        self._refusal = detail


def _kind(assignment: Assignment) -> str:
    return "forced" if assignment.forced else "exposed"
