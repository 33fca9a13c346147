"""Decides which served lists are logged, and writes them down."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from recommender_serving.answers import ExperimentReference, ModelReference, Source
from recommender_serving.engine.config import RecommendationLogSettings, StreamingSettings
from recommender_serving.engine.recommendation_log import LogSample, ServedList, encode_served_list
from recommender_serving.metrics import Metrics

_KEPT_USERS = 65_536


class Writer(Protocol):
    """What this module needs of `LogWriter`."""

    def stop(self) -> None:
        """Send what is queued."""

    def take_reports(self) -> None:
        """Hear what became of records written before."""

    def write(self, user_id: str, value: bytes) -> None:
        """Queue one record without waiting."""


WriterFactory = Callable[[StreamingSettings, RecommendationLogSettings, Callable[[int], None]], Writer]


class RecommendationLog:
    """The log of served lists: all lists of experiments, and those of a share of the other users.

    Args:
        streaming: Where Kafka is.
        settings: Topic and share.
        metrics: Where written and dropped lists are counted.
        writer: Makes what hands records to Kafka.
    """

    def __init__(
        self, streaming: StreamingSettings, settings: RecommendationLogSettings, metrics: Metrics, writer: WriterFactory
    ) -> None:
        self._share = settings.share
        self._samples = lru_cache(_KEPT_USERS)(LogSample(settings.share).holds)
        self._written = metrics.log_written
        self._writer = writer(streaming, settings, metrics.log_dropped.inc)
        self.stop, self.observe = self._writer.stop, self._writer.take_reports

    def holds(self, user_id: str, experiment: ExperimentReference | None) -> bool:
        """Whether a list is to be logged."""
        return experiment is not None or self._share >= 1 or (self._share > 0 and self._samples(user_id))

    def write(  # noqa: PLR0917
        self,
        user_id: str,
        ranking_id: bytes,
        items: tuple[str, ...],
        models: tuple[ModelReference, ...],
        source: Source,
        experiment: ExperimentReference | None,
        teams: tuple[str, ...] | None = None,
    ) -> None:
        """Log one served list.

        Args:
            user_id: Who got it.
            ranking_id: Names the answer.
            items: Item ids in the order shown.
            models: That ranked; of an interleaved list, control's and the treatment's.
            source: As in the answer.
            experiment: That the list belongs to.
            teams: Of an interleaved list, the arm that placed each item.
        """
        model, *others = models
        served = ServedList(
            ranking_id=ranking_id.decode(),
            user_id=user_id,
            served_at_us=time.time_ns() // 1_000,
            items=items,
            algorithm=model.algorithm,
            version=model.version,
            source=source,
            logged_share=self._share if experiment is None else 1.0,
            experiment=None if experiment is None else experiment.name,
            variant=None if experiment is None else experiment.variant,
            forced=experiment is not None and experiment.forced,
            teams=teams,
            treatment_algorithm=others[0].algorithm if others else None,
            treatment_version=others[0].version if others else None,
        )
        self._written.inc()
        self._writer.write(user_id, encode_served_list(served))
