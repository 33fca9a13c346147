"""Follows the champion's pointer: loads each new version beside the one that serves, then swaps one reference."""

import asyncio
import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from recommender_serving.answers import Reason
from recommender_serving.deployment import Deployment, earliest, start_of
from recommender_serving.engine.champion_pointer import ChampionPointer, DamagedPointerError, read_pointer
from recommender_serving.engine.events import Event
from recommender_serving.engine.factor_model import DamagedModelError
from recommender_serving.engine.forgotten_users import DamagedListError, forgets_after, read_forgotten_users
from recommender_serving.engine.live_events import LiveEvents
from recommender_serving.errors import NotReadyError
from recommender_serving.follow_status import FollowState
from recommender_serving.live_updates import LiveUpdates
from recommender_serving.metrics import Metrics
from recommender_serving.model_loading import LoadedModel, load_model
from recommender_serving.search_threads import SearchThreads
from recommender_serving.settings import Settings
from recommender_serving.snapshot import Snapshot

_DEGRADING_STATES = (FollowState.UNREACHABLE, FollowState.TOPIC_REPLACED)
REASON_CODES = (*map(str, _DEGRADING_STATES), "events_lost", "live_events_dropped", "champion_refused")
_DROPPED = (
    "more events came since the champion than api.max_live_events has room for: users who have been silent for longest "
    "are served as the champion knows them"
)
_NEW_ITEMS_SECONDS = 1.0
_WARM_UP_SECONDS = 3.0  # before a swap; a rollback is to take effect within five

logger = logging.getLogger(__name__)


class _Refusal(NamedTuple):
    """Why a version does not serve, and when to try it again."""

    detail: str
    retry_at: float


class Champion:
    """The models that serve, and the watch over the pointer that replaces them.

    Args:
        settings: Where the champion lives and how often to look.
        live_updates: Supplies the live events that belong to a model.
        metrics: Where swaps, refusals and the model's identity go.
        of_experiments: Versions that are in service besides, for running experiments name them.
    """

    def __init__(
        self,
        settings: Settings,
        live_updates: LiveUpdates,
        metrics: Metrics,
        of_experiments: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._settings = settings
        self._of_experiments = of_experiments
        self._live_updates = live_updates
        self._metrics = metrics
        self._threads = SearchThreads()
        self._deployment: Deployment | None = None
        self._starts_before: list[Mapping[int, int]] = []
        self._refusals: dict[str, _Refusal] = {}  # by version; "" is the pointer
        self._waiting_for = "no champion has been promoted yet"

    @property
    def ready(self) -> bool:
        """Whether there is a model to answer with."""
        return self._deployment is not None

    @property
    def deployment(self) -> Deployment:
        """The models that answer.

        Raises:
            NotReadyError: there is no champion yet, or it is being brought up to date.
        """
        if self._deployment is None:
            raise NotReadyError(f"No model to answer with: {self._waiting_for}.", headers={"Retry-After": "1"})
        return self._deployment

    @property
    def snapshot(self) -> Snapshot:
        """The champion.

        Raises:
            NotReadyError: there is no champion yet, or it is being brought up to date.
        """
        return self.deployment.champion

    def deployed(self, algorithm: str | None) -> Snapshot:
        """The deployed model of an algorithm; the champion if none is named.

        Raises:
            NotReadyError: there is no champion yet, or it is being brought up to date.
            AlgorithmNotDeployedError: no model of the algorithm is in service.
        """
        return self.deployment.of(algorithm)

    def holds(self, event: Event) -> bool:
        """Whether this replica knows the event already; without a champion it knows none."""
        return self._deployment is not None and self._deployment.champion.holds(event)

    def reasons(self) -> list[Reason]:
        """What degrades the service at the moment."""
        status = self._live_updates.status
        reasons = []
        if status.state in _DEGRADING_STATES:
            reasons.append(Reason(code=str(status.state), detail=status.detail))
        if status.lost:
            reasons.append(Reason(code="events_lost", detail="; ".join(status.lost)))
        if any(snapshot.live.has_dropped(snapshot.start) for snapshot in self._snapshots()):
            reasons.append(Reason(code="live_events_dropped", detail=_DROPPED))
        if self._refusals:
            details = "; ".join(refusal.detail for refusal in self._refusals.values())
            reasons.append(Reason(code="champion_refused", detail=details))
        return reasons

    def observe(self) -> None:
        """Bring the metrics of state up to date."""
        self._metrics.live_events.set(self._live_updates.n_events)
        self._metrics.live_events_dropped.set(self._live_updates.n_dropped)
        for algorithm, snapshot in ({} if self._deployment is None else self._deployment.by_algorithm).items():
            self._metrics.new_items.labels(algorithm).set(len(snapshot.catalogue.space.new.ids))
        kept = Counter[str]()
        for snapshot in self._snapshots():
            kept[snapshot.model.algorithm] += snapshot.cache_bytes
        for algorithm, size in kept.items():
            self._metrics.cache_bytes.labels(algorithm).set(size)
        self._metrics.ready.set(self.ready)
        current = {reason.code for reason in self.reasons()}
        for code in REASON_CODES:
            self._metrics.degraded.labels(code).set(code in current)

    async def watch(self) -> None:
        """Look at the pointer for ever."""
        while True:
            try:
                await self.refresh()
            except Exception:  # the watch must outlive whatever one version does to it
                logger.exception("looking after the champion failed")
            await asyncio.sleep(self._settings.champion.poll_interval_seconds)

    async def watch_new_items(self) -> None:
        """Keep the items that the models do not know up to date for ever."""
        while True:
            try:
                for snapshot in self._snapshots():
                    await snapshot.refresh_new_items()
            except Exception:  # the watch must outlive whatever one item does to it
                logger.exception("refreshing new items failed")
            await asyncio.sleep(_NEW_ITEMS_SECONDS)

    async def refresh(self) -> None:
        """Look at the pointer once and put what it names into service; a damaged version is refused."""
        try:
            pointer = await asyncio.to_thread(read_pointer, self._settings.root)
        except (DamagedPointerError, OSError) as error:
            self._refuse("", f"the champion's pointer cannot be read: {error}")
            return
        if pointer is None:
            return
        others = {*pointer.deployed.values(), *self._of_experiments()}
        wanted = [pointer.version, *sorted(others - {pointer.version})]
        self._refusals = {version: refusal for version, refusal in self._refusals.items() if version in wanted}
        loaded = await self._load(wanted)
        if pointer.version in loaded:
            await self._deploy(pointer, loaded)

    async def _load(self, wanted: Sequence[str]) -> dict[str, LoadedModel]:
        """Those of the versions that can be had, by version; what serves already is not read again."""
        loaded = {snapshot.model.version: snapshot.loaded for snapshot in self._snapshots()}
        for version in wanted:
            refusal = self._refusals.get(version)
            if version in loaded or (refusal is not None and time.monotonic() < refusal.retry_at):
                continue
            self._waiting_for = f"champion {version} is being loaded"
            others = [other.model for other in loaded.values()]
            try:
                loaded[version] = await asyncio.to_thread(load_model, self._settings.root, version, others)
                self._refusals.pop(version, None)
            except (DamagedModelError, OSError) as error:
                self._refuse(version, f"champion {version} was refused: {error}")
        return {version: loaded[version] for version in wanted if version in loaded}

    async def _deploy(self, pointer: ChampionPointer, loaded: Mapping[str, LoadedModel]) -> None:
        """Bring the models up to date with the live events and swap the one reference."""
        champion = loaded[pointer.version]
        deployed = [version for version in loaded if version in {pointer.version, *pointer.deployed.values()}]
        chosen = {loaded[version].model.algorithm: version for version in reversed(deployed)}  # the champion comes last
        versions = frozenset({*chosen.values(), *(self._of_experiments() & loaded.keys())})
        current = self._deployment
        if current is not None and (current.pointer.version, current.versions) == (pointer.version, versions):
            self._deployment = replace(current, pointer=pointer)
            return
        self._waiting_for = f"the events since champion {pointer.version} are being read"
        topic_id = champion.model.manifest.position.topic_id
        starts = {version: start_of(loaded[version].model.manifest.position, topic_id) for version in sorted(versions)}
        try:
            forgotten = await asyncio.to_thread(read_forgotten_users, self._settings.root)
        except (DamagedListError, OSError) as error:
            self._refuse(pointer.version, f"champion {pointer.version} was refused: {error}")
            return
        live = await self._live_updates.replay(topic_id, earliest(starts.values()))
        for forget in forgets_after(forgotten, topic_id, earliest(starts.values())):
            live.apply(*forget)
        by_version = {version: self._snapshot(loaded[version], live, start) for version, start in starts.items()}
        by_algorithm = {algorithm: by_version[version] for algorithm, version in chosen.items()}
        deployment = Deployment(pointer, by_version[pointer.version], by_algorithm, by_version)
        await self._warm_up(deployment)
        self._swap(deployment)
        await self._live_updates.discard_before(self._still_needed(starts.values()))

    def _snapshot(self, loaded: LoadedModel, live: LiveEvents, start: Mapping[int, int]) -> Snapshot:
        """The snapshot that serves already, with all that it keeps, or a new one."""
        for snapshot in self._snapshots():
            if snapshot.loaded is loaded and snapshot.live is live:
                return snapshot
        cache_bytes = int(self._settings.api.cache_megabytes * 1e6)
        return Snapshot(loaded, live, start, metrics=self._metrics, cache_bytes=cache_bytes, threads=self._threads)

    async def _warm_up(self, next_: Deployment) -> None:
        """Give the models that are to serve what those that serve have gathered: new items, and who asked lately."""
        for snapshot in next_.by_version.values():
            await snapshot.refresh_new_items()
        current = {} if self._deployment is None else self._deployment.by_algorithm
        replaced = {
            name: snapshot for name, snapshot in current.items() if snapshot is not next_.by_algorithm.get(name)
        }
        until = time.monotonic() + _WARM_UP_SECONDS
        for algorithm in sorted(replaced.keys() & next_.by_algorithm.keys()):
            await next_.by_algorithm[algorithm].take_over(replaced[algorithm], until)

    def _snapshots(self) -> list[Snapshot]:
        return [] if self._deployment is None else list(self._deployment.by_version.values())

    def _still_needed(self, starts: Iterable[Mapping[int, int]]) -> dict[int, int]:
        """From where on events are kept: those for the models before this swap too, so that a rollback is instant."""
        needed = earliest([*starts, *self._starts_before])
        self._starts_before = list(starts)
        return needed

    def _swap(self, deployment: Deployment) -> None:
        self._deployment = deployment
        model = deployment.champion.model
        self._metrics.champion.info({"algorithm": model.algorithm, "version": model.version})
        self._metrics.champion_created.set(dt.datetime.fromisoformat(model.manifest.created_at).timestamp())
        self._metrics.champion_swaps.inc()
        logger.info("champion %s is in service", model.version)

    def _refuse(self, version: str, detail: str) -> None:
        """Keep what serves and say why; the same refusal is counted and logged once."""
        known = self._refusals.get(version)
        retry_at = time.monotonic() + self._settings.champion.refused_retry_seconds
        self._refusals[version] = _Refusal(detail, retry_at)
        self._waiting_for = detail
        if known is None or known.detail != detail:
            self._metrics.refused_models.inc()
            logger.error("%s", detail)
