"""What a search optimises: one head, fitted to the training rows and measured on the validation rows."""

import math
from typing import Literal, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.measures.catalogue import CATALOGUE
from recommender_assets.evaluation.measures.rating import RATING
from recommender_assets.evaluation.model_scores import catalogue_scores, predicted_ratings
from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import Split
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.progress import silent
from recommender_assets.training.ranking import fit_ranking
from recommender_assets.training.rating_nmf import fit_rating_nmf
from recommender_assets.training.rating_svd import fit_rating_svd
from recommender_assets.training.rows import rating_rows, strength_rows
from recommender_assets.tuning.search_spaces import Head

Direction = Literal["minimize", "maximize"]


class Objective(NamedTuple):
    """Name of the metric, and whether less of it is better (`minimize`) or more (`maximize`)."""

    metric: str
    direction: Direction


OBJECTIVES: dict[Head, Objective] = {
    "rating": Objective("rmse", "minimize"),
    "ranking": Objective("ndcg_at_10", "maximize"),
}


def validation_score(head: Head, split: Split, hyper_parameters: SvdSettings | NmfSettings, seed: int) -> float:
    """The metric of `OBJECTIVES` on the validation rows; NaN where the training diverged."""
    return (_rmse if head == "rating" else _ndcg)(split, hyper_parameters, seed)


def _rmse(split: Split, hyper_parameters: SvdSettings | NmfSettings, seed: int) -> float:
    if isinstance(hyper_parameters, SvdSettings):
        head, curves = fit_rating_svd(split.training, split.n_items, hyper_parameters, seed, silent)
    else:
        head, curves = fit_rating_nmf(rating_rows(split.training), split.n_items, hyper_parameters, seed, silent)
    if not math.isfinite(curves["rating_rmse"][-1]):
        return math.nan
    scores = Scores(predicted_ratings(head, split.training, _all_items(split), split.scale), _not_asked_for)
    return RATING.measure(scores, split).values["rmse"]


def _ndcg(split: Split, hyper_parameters: SvdSettings | NmfSettings, seed: int) -> float:
    head, curve = fit_ranking(strength_rows(split.training), split.n_items, hyper_parameters, seed, silent)
    if not math.isfinite(curve[-1]):
        return math.nan
    scores = Scores(_not_asked_for, catalogue_scores(head, split.training, _all_items(split)))
    return CATALOGUE.measure(scores, split).values["ndcg_at_10"]


def _all_items(split: Split) -> NDArray[np.int64]:
    return np.arange(split.n_items)


def _not_asked_for(*_: object) -> NoReturn:
    raise AssertionError("the measure of one head must not ask the other one")
