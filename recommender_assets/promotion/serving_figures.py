"""What a model is like to serve: whether it answers a live user as it was trained, and what an answer costs."""

import time

import numpy as np

from recommender_assets.promotion.standing import FOLD_IN_ERROR, SCORING_MILLISECONDS
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from recommender_serving.engine.history import observe
from recommender_serving.engine.top_items import ItemIndex, Query

MEANINGS = {
    FOLD_IN_ERROR: "greatest difference between a user's trained vectors and those that the service's code solves",
    SCORING_MILLISECONDS: "median time to solve one user's vectors and find the 10 best items, one thread, in ms",
}

_USERS = 64
_LISTED = 10


def serving_figures(model: FactorModel) -> dict[str, float]:
    """`fold_in_error` and `scoring_milliseconds` over 64 users, evenly chosen, solved with the service's own code.

    A model without users has no figures.
    """
    if not model.n_users:
        return {}
    users = np.unique(np.linspace(0, model.n_users - 1, _USERS).astype(np.int64))
    observations = observe(model.history, model.manifest.weights, model.manifest.scale)
    index = ItemIndex(model.ranking.item_factors)
    _ = model.ranking.gram  # worked out once, when a service loads the model
    errors, seconds = [], []
    for user in users:
        rows = observations.rows_of(int(user))
        items, stars, strengths = observations.item[rows], observations.rating[rows], observations.strength[rows]
        started = time.perf_counter()
        factors, bias = fold_in_rating(model.rating, items, stars)
        vector = fold_in_ranking(model.ranking, items, strengths)
        index.search([Query(vector.astype(np.float32), _LISTED, excluded=items)])
        seconds.append(time.perf_counter() - started)
        solved = np.concatenate([factors, [bias], vector])
        trained = [model.rating.user_factors[user], [model.rating.user_bias[user]], model.ranking.user_factors[user]]
        errors.append(np.abs(solved - np.concatenate(trained)).max())
    return {FOLD_IN_ERROR: float(np.max(errors)), SCORING_MILLISECONDS: float(np.median(seconds)) * 1e3}
