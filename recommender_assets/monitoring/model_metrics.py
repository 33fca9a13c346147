"""Metrics of models and promotion: the champion's pointer and manifest, the latest evaluation, the decisions."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import msgspec

from recommender_assets.automation.ingestion_trigger import IngestionCursor, follow_ledger
from recommender_assets.monitoring.metric import MetricDefinition, Samples
from recommender_assets.promotion.contest import Contest, load_contest
from recommender_assets.promotion.decisions import Kind, latest_decision, read_decisions
from recommender_assets.promotion.standing import best_floor
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import ChampionPointer, read_pointer, version_directory
from recommender_serving.engine.manifest import Manifest

CHAMPION_PROMOTED = MetricDefinition(
    "recommender_model_champion_promoted_timestamp_seconds", "gauge", "Unix time of the champion's promotion."
)
CHAMPION_TRAINED = MetricDefinition(
    "recommender_model_champion_trained_timestamp_seconds", "gauge", "Unix time at which the champion was trained."
)
UNLEARNED = MetricDefinition(
    "recommender_model_unlearned_records",
    "gauge",
    "Ingested records after the champion's position; the service folds them in, retraining will learn them.",
)
DEPLOYED = MetricDefinition(
    "recommender_model_deployed_info",
    "gauge",
    "1 for each deployed model; role is champion or alternative.",
    ("algorithm", "version", "role"),
)
_OF_A_MODEL = ("algorithm", "role")
RMSE = MetricDefinition(
    "recommender_model_rmse_stars", "gauge", "RMSE on the hold-out, from the latest evaluation.", _OF_A_MODEL
)
NDCG = MetricDefinition(
    "recommender_model_ndcg_at_10_ratio",
    "gauge",
    "NDCG@10 on the hold-out over the whole catalogue, from the latest evaluation.",
    _OF_A_MODEL,
)
COVERAGE = MetricDefinition(
    "recommender_model_coverage_at_20_ratio",
    "gauge",
    "Share of the catalogue in all lists of 20, from the latest evaluation.",
    _OF_A_MODEL,
)
RMSE_FLOOR = MetricDefinition(
    "recommender_model_rmse_floor_stars", "gauge", "RMSE of the best constant predictor on the same hold-out."
)
NDCG_FLOOR = MetricDefinition(
    "recommender_model_ndcg_at_10_floor_ratio", "gauge", "NDCG@10 of the best list that is the same for everybody."
)
DECISIONS = MetricDefinition(
    "recommender_promotion_decisions_total",
    "counter",
    "Decisions by kind: promotion, refusal, rollback (a person's), live_rollback (a guardrail's), experiment (won).",
    ("kind",),
)
LAST_DECISION = MetricDefinition(
    "recommender_promotion_last_decision_timestamp_seconds", "gauge", "Unix time of the latest decision on candidates."
)
LAST_DECISION_PROMOTED = MetricDefinition(
    "recommender_promotion_last_decision_promoted", "gauge", "1 if the latest decision promoted a candidate, else 0."
)
MODEL_METRICS = (
    CHAMPION_PROMOTED,
    CHAMPION_TRAINED,
    UNLEARNED,
    DEPLOYED,
    RMSE,
    NDCG,
    COVERAGE,
    RMSE_FLOOR,
    NDCG_FLOOR,
    DECISIONS,
    LAST_DECISION,
    LAST_DECISION_PROMOTED,
)

_EVALUATED = {RMSE: "rmse", NDCG: "catalogue_ndcg_at_10", COVERAGE: "catalogue_coverage_at_20"}
_FLOORS = {RMSE_FLOOR: "rmse", NDCG_FLOOR: "catalogue_ndcg_at_10"}


class ModelMetrics:
    """Reads small files below the storage root, and of the ledger only rows that are new."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = IngestionCursor()

    def read(self) -> Mapping[MetricDefinition, Samples]:
        """The metrics now; before the first evaluation only counts of decisions.

        Raises:
            DamagedPointerError: the champion's pointer cannot be read.
            OSError, msgspec.MsgspecError: the champion's manifest, the evaluation or the decision cannot be read.
        """
        root = self._settings.root
        pointer = read_pointer(root)
        return {**self._champion(pointer), **_evaluation(root, pointer), **_decisions(root)}

    def _champion(self, pointer: ChampionPointer | None) -> dict[MetricDefinition, Samples]:
        if pointer is None:
            return {}
        root, topic = self._settings.root, self._settings.streaming.topic
        manifest = msgspec.json.decode(
            (version_directory(root, pointer.version) / "manifest.json").read_bytes(), type=Manifest
        )
        self._ledger = follow_ledger(root, topic, self._ledger)
        return {
            CHAMPION_PROMOTED: {(): _seconds(pointer.promoted_at)},
            CHAMPION_TRAINED: {(): _seconds(manifest.created_at)},
            UNLEARNED: {(): _unlearned(manifest, self._ledger)},
            DEPLOYED: {
                (algorithm, version, "champion" if version == pointer.version else "alternative"): 1.0
                for algorithm, version in pointer.deployed.items()
            },
        }


def _unlearned(manifest: Manifest, ledger: IngestionCursor) -> int:
    """Records of the ledger's topic after the model's position; a topic created anew begins at 0."""
    learned = manifest.position.next_offsets if manifest.position.topic_id == ledger.ledger_topic_id else {}
    return sum(max(offset - learned.get(partition, 0), 0) for partition, offset in ledger.next_offsets.items())


def _evaluation(root: Path, pointer: ChampionPointer | None) -> dict[MetricDefinition, Samples]:
    try:
        contest = load_contest(root)
    except FileNotFoundError:
        return {}
    measured: dict[MetricDefinition, Samples] = {
        definition: {
            (standing.algorithm, _role(standing.version, contest, pointer)): standing.metrics[metric]
            for standing in contest.contenders
            if metric in standing.metrics
        }
        for definition, metric in _EVALUATED.items()
    }
    floors = ((definition, best_floor(contest.contenders[0], metric)) for definition, metric in _FLOORS.items())
    return measured | {definition: {(): floor[1]} for definition, floor in floors if floor}


def _role(version: str, contest: Contest, pointer: ChampionPointer | None) -> str:
    if pointer and version == pointer.version:
        return "champion"
    return "predecessor" if contest.champion and version == contest.champion.version else "candidate"


def _decisions(root: Path) -> dict[MetricDefinition, Samples]:
    kinds = Counter(row.kind for row in read_decisions(root))
    counted: dict[MetricDefinition, Samples] = {DECISIONS: {(kind,): kinds[kind] for kind in get_args(Kind)}}
    latest = latest_decision(root)
    if latest is None:
        return counted
    return counted | {
        LAST_DECISION: {(): latest.decided_at.timestamp()},
        LAST_DECISION_PROMOTED: {(): float(latest.kind == "promotion")},
    }


def _seconds(moment: str) -> float:
    return dt.datetime.fromisoformat(moment).timestamp()
