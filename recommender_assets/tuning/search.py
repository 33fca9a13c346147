"""A bounded search for hyper-parameters with optuna's TPE; the same search continues where it was stopped."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import optuna
import yaml
from optuna.trial import FrozenTrial, Trial, TrialState

from recommender_assets.evaluation.split import Split
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.settings import NmfSettings, Settings, SvdSettings
from recommender_assets.training.trainer import Algorithm
from recommender_assets.tuning.objective import OBJECTIVES, Direction, validation_score
from recommender_assets.tuning.search_spaces import Head, Range, rounded, search_space, with_values
from recommender_assets.tuning.trial_runs import TrialRuns
from recommender_assets.tuning.tuning_rows import split_digest, validation_split
from recommender_serving.engine.atomic_files import replace_file

_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class NothingFoundError(RuntimeError):
    """No trial has come to an end with a figure."""


@dataclass(frozen=True)
class Budget:
    """Most trials of a study, those of earlier runs included; minutes of this run after which no trial starts."""

    trials: int
    minutes: float | None = None


@dataclass(frozen=True)
class Found:
    """The best hyper-parameters, their figure on the validation rows, and both as a part of `config.yaml` at `path`."""

    values: dict[str, Any]
    score: float
    snippet: str
    path: Path


def search(
    algorithm: Algorithm,
    head: Head,
    matrix: UserItemMatrix,
    settings: Settings,
    *,
    budget: Budget,
    report: Callable[[str], None],
) -> Found:
    """Try hyper-parameters on validation rows, the configured ones first. The hold-out is never looked at.

    The study is known by its rows, seed, bounds and other hyper-parameters: with any of them changed, a new one begins.

    Args:
        algorithm: `svd` or `nmf`.
        head: `rating` for the least RMSE, `ranking` for the greatest NDCG@10.
        matrix: what to learn from.
        settings: `storage`, `models`, `training` and `mlflow` are used.
        budget: when to stop.
        report: called with a line after every trial.

    Raises:
        TooFewRatingsError: there are not enough rows to divide.
        NothingFoundError: no trial gave a figure.
    """
    configured = settings.models.svd if algorithm == "svd" else settings.models.nmf
    space = search_space(algorithm, head, configured)
    split = validation_split(matrix, settings.training)
    name = f"{algorithm}-{head}-{_identity(split, settings.training.seed, configured, space)}"
    folder = settings.root / "tuning"
    folder.mkdir(parents=True, exist_ok=True)
    with _study(folder / "studies.db", name, OBJECTIVES[head].direction) as study:
        runs = TrialRuns(settings, study, OBJECTIVES[head].metric)
        _run_trials(study, runs, _Task(head, split, configured, space, settings.training.seed), budget, report)
        found = _best(study, algorithm, head, folder / f"{name}.yaml")
        replace_file(found.path, found.snippet.encode())
        runs.finish(found.snippet)
    return found


@dataclass(frozen=True)
class _Task:
    head: Head
    split: Split
    configured: SvdSettings | NmfSettings
    space: tuple[Range, ...]
    seed: int

    def score(self, trial: Trial) -> float:
        values = rounded({bounds.key: _suggest(trial, bounds) for bounds in self.space})
        score = validation_score(self.head, self.split, with_values(self.configured, values), self.seed)
        if not math.isfinite(score):
            raise optuna.TrialPruned
        return score


def _run_trials(
    study: optuna.Study, runs: TrialRuns, task: _Task, budget: Budget, report: Callable[[str], None]
) -> None:
    metric = OBJECTIVES[task.head].metric

    def tell(study: optuna.Study, trial: FrozenTrial) -> None:
        values = rounded(trial.params)
        runs.log(trial, {**msgspec.to_builtins(task.configured), **values})
        figure = f"{metric} {trial.value:.4f}" if trial.value is not None else "diverged"
        best = f", best {study.best_value:.4f}" if study.get_trials(deepcopy=False, states=_ENDED[:1]) else ""
        shown = " ".join(f"{key}={value}" for key, value in values.items())
        ended = len(study.get_trials(deepcopy=False, states=_ENDED))
        report(f"trial {ended} of {budget.trials}: {figure}{best}  {shown}")

    if not study.get_trials(deepcopy=False, states=(*_ENDED, TrialState.WAITING)):
        study.enqueue_trial({bounds.key: getattr(task.configured, bounds.key) for bounds in task.space})
    left = budget.trials - len(study.get_trials(deepcopy=False, states=_ENDED))
    if left > 0:
        seconds = None if budget.minutes is None else budget.minutes * 60
        study.optimize(task.score, n_trials=left, timeout=seconds, callbacks=[tell])


@contextmanager
def _study(database: Path, name: str, direction: Direction) -> Iterator[optuna.Study]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
        # A continued study must not draw again what its first trials drew.
        study.sampler = optuna.samplers.TPESampler(seed=len(study.get_trials(deepcopy=False)))
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _suggest(trial: Trial, bounds: Range) -> float:
    if isinstance(bounds.low, int) and isinstance(bounds.high, int):
        return trial.suggest_int(bounds.key, bounds.low, bounds.high, log=bounds.log)
    return trial.suggest_float(bounds.key, bounds.low, bounds.high, log=bounds.log)


def _best(study: optuna.Study, algorithm: Algorithm, head: Head, path: Path) -> Found:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not trials:
        raise NothingFoundError("no trial has given a figure: allow more --trials or --minutes")
    metric, values = OBJECTIVES[head].metric, rounded(study.best_params)
    first = trials[0].value
    heading = (
        f"# {metric} {study.best_value:.5f} on validation rows, {first:.5f} in the first trial; {len(trials)} trials\n"
    )
    snippet = heading + yaml.safe_dump({"models": {algorithm: values}}, sort_keys=False)
    return Found(values=values, score=study.best_value, snippet=snippet, path=path)


def _identity(split: Split, seed: int, configured: SvdSettings | NmfSettings, space: tuple[Range, ...]) -> str:
    facts = msgspec.json.encode([seed, msgspec.to_builtins(configured), [tuple(bounds) for bounds in space]])
    return blake2b(facts + split_digest(split), digest_size=6).hexdigest()
