"""Whether users who are unknown to training, and folded in afterwards, get lists as good as those trained on."""

import numpy as np

from recommender_assets.evaluation.measures.catalogue import CATALOGUE
from recommender_assets.evaluation.model_scores import head_scores
from recommender_assets.evaluation.protocols import PROTOCOLS
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.heads import fit_heads

_UNKNOWN_SHARE = 0.2


def fold_in_quality(matrix: UserItemMatrix, hyper_parameters: SvdSettings | NmfSettings, seed: int) -> dict[str, float]:
    """NDCG@10 (protocol `catalogue`) of a fifth of the users, trained on and folded in, and the quotient of the two."""
    split = PROTOCOLS["catalogue"].divide(matrix, seed)
    is_unknown = np.random.default_rng(seed).random(matrix.n_users) < _UNKNOWN_SHARE
    everything = np.arange(matrix.n_items)
    found = {}
    for name, known in (("trained", np.ones_like(is_unknown)), ("folded_in", ~is_unknown)):
        heads = fit_heads(
            split.training.select(known[split.training.user_of_row()]), matrix.n_items, hyper_parameters, seed
        )
        scores = head_scores(heads.rating, heads.ranking, split.training, everything, matrix.scale)
        ndcg = CATALOGUE.measure(scores, split).by_user["ndcg_at_10"]
        found[f"{name}_ndcg_at_10"] = float(ndcg.total[is_unknown].sum() / ndcg.count[is_unknown].sum())
    return found | {"share_kept": found["folded_in_ndcg_at_10"] / found["trained_ndcg_at_10"]}
