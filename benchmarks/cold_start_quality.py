"""How well items are listed that nobody has interacted with yet: a tenth of the items without any training row."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.measures.catalogue import CATALOGUE
from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import Split
from recommender_assets.features.content_features import content_features
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.cold_start import with_cold_items
from recommender_assets.training.heads import fit_heads, with_users_of

_COLD_SHARE = 0.1
_METRICS = ("ndcg_at_10", "hit_rate_at_20")


def cold_start_quality(
    matrix: UserItemMatrix, hyper_parameters: SvdSettings | NmfSettings, seed: int
) -> dict[str, dict[str, float]]:
    """Figures of lists of cold items alone, for the users who met one: by the map from content, and beside it.

    `left_out` is the map left out (near-zero factors of any order), `popularity` orders the cold items by the
    interactions that they really got, which nobody knows beforehand: a bound for what does not look at the user.
    """
    random = np.random.default_rng(seed)
    is_cold = random.random(matrix.n_items) < _COLD_SHARE
    split = Split.of(matrix, is_cold[matrix.observations.item])
    heads = with_users_of(fit_heads(split.training, matrix.n_items, hyper_parameters, seed), split.training)
    mapped = with_cold_items(heads, split.training, partial(content_features, matrix.catalogue))
    mapped = with_users_of(mapped, split.training)
    interactions = np.bincount(split.test.item, minlength=matrix.n_items).astype(np.float32)
    by_user = {
        "map": mapped.ranking.user_factors @ mapped.ranking.item_factors.T,
        "left_out": heads.ranking.user_factors @ heads.ranking.item_factors.T,
        "random": random.random((matrix.n_users, matrix.n_items), dtype=np.float32),
        "popularity": np.tile(interactions, (matrix.n_users, 1)),
    }
    return {name: _figures(scores, is_cold, split) for name, scores in by_user.items()}


def _figures(scores: NDArray[np.float32], is_cold: NDArray[np.bool_], split: Split) -> dict[str, float]:
    def of_cold_items(users: slice) -> NDArray[np.float32]:
        return np.where(is_cold, scores[users], np.float32(-np.inf))

    found = CATALOGUE.measure(Scores(lambda user, _: np.zeros(len(user)), of_cold_items), split).values
    return {name: found[name] for name in _METRICS}
