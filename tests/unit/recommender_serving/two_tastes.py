"""A model of users of two tastes, `a0`… and `b0`…, who like the items `a0`… and `b0`… respectively."""

from dataclasses import replace

import numpy as np

from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.fold_in import fold_in_ranking
from recommender_serving.engine.history import observe
from tests.factories import history_of, make_event, make_model

USERS_OF_A_TASTE = 20
ITEMS_OF_A_TASTE = 15


def two_tastes(algorithm: str = "svd", seed: int = 0) -> FactorModel:
    """The model; every user has liked six items of their taste."""
    random = np.random.default_rng(seed)
    users = [f"{taste}{number:02d}" for taste in "ab" for number in range(USERS_OF_A_TASTE)]
    items = [f"{taste}{number:02d}" for taste in "ab" for number in range(ITEMS_OF_A_TASTE)]
    past = [
        make_event(user, f"{user[0]}{item:02d}", rating=5.0)
        for user in users
        for item in random.choice(ITEMS_OF_A_TASTE, 6, replace=False)
    ]
    model = make_model(algorithm, history=history_of(past, users, items), user_ids=users, item_ids=items, seed=seed)
    factors = np.abs(random.normal(scale=0.05, size=model.ranking.item_factors.shape)).astype(np.float32)
    factors[:ITEMS_OF_A_TASTE, 0] += random.uniform(0.4, 1.0, ITEMS_OF_A_TASTE)
    factors[ITEMS_OF_A_TASTE:, 1] += random.uniform(0.4, 1.0, ITEMS_OF_A_TASTE)
    head = replace(model.ranking, item_factors=factors, user_factors=model.ranking.user_factors.copy())
    observed = observe(model.history, EventWeights(), RatingScale())
    for user in range(len(users)):
        rows = observed.rows_of(user)
        head.user_factors[user] = fold_in_ranking(head, observed.item[rows], observed.strength[rows])
    return replace(model, ranking=head)
