import math

import numpy as np
import pytest

from recommender_assets.evaluation.metrics.rmse import rmse


def test_is_the_root_of_the_mean_squared_error():
    assert rmse(np.array([3.0, 5.0]), np.array([4.0, 3.0])) == pytest.approx(math.sqrt((1 + 4) / 2))


def test_is_zero_for_a_perfect_prediction():
    assert rmse(np.array([1.5, 4.0]), np.array([1.5, 4.0])) == 0.0


def test_is_undefined_without_pairs():
    assert math.isnan(rmse(np.empty(0), np.empty(0)))


def test_the_sign_of_an_error_does_not_matter_and_its_size_does():
    actual = np.zeros(2)

    assert rmse(np.array([1.0, -1.0]), actual) == 1.0
    assert rmse(np.array([2.0, 0.0]), actual) > 1.0
