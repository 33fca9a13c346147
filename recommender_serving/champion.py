"""Follows the champion's pointer: loads each new version beside the one that serves, then swaps one reference."""

import asyncio
import logging
import time

from recommender_serving.answers import Reason
from recommender_serving.engine.champion_pointer import (
    ChampionPointer,
    DamagedPointerError,
    read_pointer,
    version_directory,
)
from recommender_serving.engine.events import Event
from recommender_serving.engine.factor_model import DamagedModelError, FactorModel, read_model
from recommender_serving.errors import NotReadyError
from recommender_serving.follow_status import FollowState
from recommender_serving.live_updates import LiveUpdates
from recommender_serving.metrics import Metrics
from recommender_serving.settings import Settings
from recommender_serving.snapshot import Snapshot

_DEGRADING_STATES = (FollowState.UNREACHABLE, FollowState.TOPIC_REPLACED)
REASON_CODES = (*map(str, _DEGRADING_STATES), "events_lost", "champion_refused")

logger = logging.getLogger(__name__)


class Champion:
    """The snapshot that serves, and the watch over the pointer that replaces it.

    Args:
        settings: Where the champion lives and how often to look.
        live_updates: Supplies the live events that belong to a model.
        metrics: Where swaps, refusals and the model's identity go.
    """

    def __init__(self, settings: Settings, live_updates: LiveUpdates, metrics: Metrics) -> None:
        self._settings = settings
        self._live_updates = live_updates
        self._metrics = metrics
        self._snapshot: Snapshot | None = None
        self._pointer: ChampionPointer | None = None
        self._refused = Reason(code="champion_refused", detail="")
        self._refused_version = ""
        self._retry_at = 0.0
        self._waiting_for = "no champion has been promoted yet"

    @property
    def ready(self) -> bool:
        """Whether there is a snapshot."""
        return self._snapshot is not None

    @property
    def snapshot(self) -> Snapshot:
        """What to answer from.

        Raises:
            NotReadyError: there is no champion yet, or it is being brought up to date.
        """
        if self._snapshot is None:
            raise NotReadyError(f"No model to answer with: {self._waiting_for}.", headers={"Retry-After": "1"})
        return self._snapshot

    @property
    def pointer(self) -> ChampionPointer:
        """The pointer that named the serving model.

        Raises:
            NotReadyError: there is no champion yet, or it is being brought up to date.
        """
        if self._pointer is None:
            raise NotReadyError(f"No model to answer with: {self._waiting_for}.", headers={"Retry-After": "1"})
        return self._pointer

    def holds(self, event: Event) -> bool:
        """Whether this replica knows the event already; without a champion it knows none."""
        return self._snapshot is not None and self._snapshot.holds(event)

    def reasons(self) -> list[Reason]:
        """What degrades the service at the moment."""
        status = self._live_updates.status
        reasons = []
        if status.state in _DEGRADING_STATES:
            reasons.append(Reason(code=str(status.state), detail=status.detail))
        if status.lost:
            reasons.append(Reason(code="events_lost", detail="; ".join(status.lost)))
        if self._refused.detail:
            reasons.append(self._refused)
        return reasons

    def observe(self) -> None:
        """Bring the readiness metrics up to date."""
        self._metrics.ready.set(self._snapshot is not None)
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

    async def refresh(self) -> None:
        """Look at the pointer once and put the version it names into service; a damaged one is refused."""
        try:
            pointer = await asyncio.to_thread(read_pointer, self._settings.root)
        except (DamagedPointerError, OSError) as error:
            self._refuse("", f"the champion's pointer cannot be read: {error}")
            return
        if pointer is None:
            return
        if self._snapshot is not None and pointer.version == self._snapshot.model.version:
            self._pointer = pointer
            self._refused, self._refused_version = Reason(code="champion_refused", detail=""), ""
            return
        if pointer.version == self._refused_version and time.monotonic() < self._retry_at:
            return
        try:
            self._waiting_for = f"champion {pointer.version} is being loaded"
            model = await asyncio.to_thread(self._load, pointer.version)
        except (DamagedModelError, OSError) as error:
            self._refuse(pointer.version, f"champion {pointer.version} was refused: {error}")
            return
        self._waiting_for = f"the events since champion {pointer.version} are being read"
        live = await self._live_updates.replay(model.manifest.position)
        self._swap(pointer, Snapshot(model, live, self._metrics, int(self._settings.api.cache_megabytes * 1e6)))

    def _load(self, version: str) -> FactorModel:
        """Read and check one version; runs in a thread, almost all of it in code that does not hold the GIL."""
        model = read_model(version_directory(self._settings.root, version))
        if model.version != version:
            raise DamagedModelError(f"the directory of version {version} holds version {model.version}")
        _ = model.ranking.gram, model.catalogue.category_index  # here, once, rather than by the first request
        return model

    def _swap(self, pointer: ChampionPointer, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._pointer = pointer
        self._refused, self._refused_version = Reason(code="champion_refused", detail=""), ""
        self._metrics.champion.info({"algorithm": snapshot.model.algorithm, "version": snapshot.model.version})
        self._metrics.champion_swaps.inc()
        logger.info("champion %s is in service", pointer.version)

    def _refuse(self, version: str, detail: str) -> None:
        """Keep what serves and say why; the same refusal is counted and logged once."""
        self._retry_at = time.monotonic() + self._settings.champion.refused_retry_seconds
        self._refused_version = version
        self._waiting_for = detail
        if self._refused.detail != detail:
            self._refused = Reason(code="champion_refused", detail=detail)
            self._metrics.refused_models.inc()
            logger.error("%s", detail)
