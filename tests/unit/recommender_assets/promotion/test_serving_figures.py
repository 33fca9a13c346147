from dataclasses import replace

import numpy as np
import pytest

from recommender_assets.promotion.serving_figures import serving_figures
from tests.factories import make_model


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_model_of_the_engines_own_solutions_answers_as_it_was_trained(algorithm: str) -> None:
    figures = serving_figures(make_model(algorithm, n_users=200))
    assert figures["fold_in_error"] < 1e-6
    assert 0 < figures["scoring_milliseconds"] < 1_000


@pytest.mark.parametrize(
    ("head", "array"), [("rating", "user_factors"), ("rating", "user_bias"), ("ranking", "user_factors")]
)
def test_one_user_that_was_not_solved_exactly_is_found(head: str, array: str) -> None:
    model = make_model(n_users=40)
    values = getattr(getattr(model, head), array).copy()
    values[39] += np.float32(0.5)
    changed = replace(getattr(model, head), **{array: values})
    assert serving_figures(replace(model, **{head: changed}))["fold_in_error"] == pytest.approx(0.5, rel=1e-4)


def test_a_model_that_is_not_finite_has_no_finite_error() -> None:
    model = make_model()
    values = model.rating.user_factors.copy()
    values[0] = np.nan
    broken = replace(model, rating=replace(model.rating, user_factors=values))
    assert np.isnan(serving_figures(broken)["fold_in_error"])
