import math

from recommender_assets.evaluation.finite_figures import finite_figures


def test_only_numbers_are_kept_and_they_are_plain() -> None:
    assert finite_figures({"a": 0.5, "b": math.nan, "c": math.inf, "d": 1}) == {"a": 0.5, "d": 1.0}
