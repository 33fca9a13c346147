from dataclasses import replace

import numpy as np
import pytest

from recommender_serving.engine import user_space as module
from recommender_serving.engine.history import REMOVE
from recommender_serving.engine.user_space import user_space
from tests.factories import history_of, make_model


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
@pytest.mark.parametrize("block", [1, 3, 4_096])
def test_the_moments_are_those_of_all_users(monkeypatch: pytest.MonkeyPatch, algorithm: str, block: int) -> None:
    monkeypatch.setattr(module, "_BLOCK_ROWS", block)
    model = make_model(algorithm, n_users=9, n_items=7)
    space = user_space(model)
    users = model.ranking.user_factors.astype(np.float64)
    assert space.n_users == 9
    np.testing.assert_allclose(space.gram, users.T @ users)
    np.testing.assert_allclose(space.mean, users.mean(axis=0))
    scores = users @ model.ranking.item_factors.T
    np.testing.assert_allclose(space.deviations(model.ranking.item_factors), scores.std(axis=0), rtol=1e-5)


def test_the_typical_score_is_that_of_pairs_that_have_interacted() -> None:
    model = make_model(n_users=9, n_items=7)
    history, head = model.history, model.ranking
    rows = np.flatnonzero(history.event_type != REMOVE)
    assert 0 < len(rows) < len(history.item)
    pairs = zip(history.user_of_row()[rows], history.item[rows], strict=True)
    expected = np.mean([head.user_factors[user] @ head.item_factors[item] for user, item in pairs])
    assert user_space(model).typical_score == pytest.approx(expected, rel=1e-5)


def test_a_model_without_past_or_users_has_moments_too() -> None:
    empty = make_model(history=history_of([], ["u"], ["i"]), user_ids=["u"], item_ids=["i"])
    assert user_space(empty).typical_score == 0.0
    head = replace(empty.ranking, user_factors=empty.ranking.user_factors[:0])
    space = user_space(replace(empty, ranking=head))
    assert (space.n_users, space.mean.tolist()) == (0, [0.0] * 4)
    assert space.deviations(head.item_factors).tolist() == [0.0]
