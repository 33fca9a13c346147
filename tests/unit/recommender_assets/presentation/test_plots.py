import base64
import re

import numpy as np
import pytest
from matplotlib.axes import Axes

from recommender_assets.presentation import plots
from recommender_assets.presentation.plots import (
    EffectCurve,
    comparison,
    effect_by_day,
    explained_variance,
    rating_distribution,
    training_curves,
)

PNG = b"\x89PNG\r\n\x1a\n"
RATINGS = np.array([0.5, 4.0, 4.0, 5.0, np.nan], dtype=np.float32)


def image(markdown: str) -> bytes:
    match = re.fullmatch(r"!\[[^\]]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert match
    return base64.b64decode(match[1])


@pytest.mark.parametrize(
    "markdown",
    [
        rating_distribution(RATINGS),
        rating_distribution(np.array([3.0])),
        explained_variance({"user": [0.6, 0.3, 0.1], "item": [0.5, 0.5]}),
        training_curves({"rating_rmse": [1.0, 0.9, 0.88], "ranking_loss": [5e6, 4e6]}),
        training_curves({"empty": []}),
        comparison("rmse", {"svd-1": 0.87, "nmf-1": 0.91}, {"item_mean": 0.98}),
        comparison("rmse", {"svd-1": 0.87}, {}),
    ],
    ids=["ratings", "one rating", "variance", "curves", "empty curve", "comparison", "no floors"],
)
def test_plots_are_small_images(markdown: str) -> None:
    png = image(markdown)
    assert png.startswith(PNG)
    assert len(markdown) < 50_000


def test_a_plot_shows_its_data() -> None:
    assert image(rating_distribution(RATINGS)) != image(rating_distribution(RATINGS[:2]))
    assert image(comparison("rmse", {"svd-1": 0.87}, {})) != image(comparison("rmse", {"svd-1": 0.97}, {}))
    assert image(explained_variance({"user": [0.6, 0.3]})) != image(explained_variance({"user": [0.6, 0.1]}))


@pytest.mark.parametrize("ratings", [np.array([]), np.full(3, np.nan)], ids=["empty", "views only"])
def test_without_ratings_there_is_still_a_plot(ratings: np.ndarray) -> None:
    assert image(rating_distribution(ratings)).startswith(PNG)
    assert image(rating_distribution(ratings)) != image(rating_distribution(RATINGS))


def test_what_was_not_rated_changes_no_distribution() -> None:
    assert rating_distribution(RATINGS) == rating_distribution(RATINGS[~np.isnan(RATINGS)])
    assert rating_distribution(RATINGS) == rating_distribution(RATINGS[::-1])


def test_curves_are_scaled_to_their_first_value() -> None:
    small, large = training_curves({"loss": [4.0, 2.0, 1.0]}), training_curves({"loss": [4e6, 2e6, 1e6]})
    assert small == large
    assert small != training_curves({"loss": [4.0, 2.0, 2.0]})
    assert small != training_curves({"error": [4.0, 2.0, 1.0]})


def test_a_curve_that_begins_at_zero_is_shown_as_it_is() -> None:
    assert training_curves({"gap": [0.0, 1.0]}) != training_curves({"gap": [0.0, 0.5]})


def test_variance_is_accumulated(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Axes] = []
    monkeypatch.setattr(plots, "_markdown", lambda axes, _: drawn.append(axes) or "")
    explained_variance({"user": [0.5, 0.25, 0.125], "item": [0.75]})
    user, item = drawn[0].lines
    assert (user.get_label(), list(user.get_xdata()), list(user.get_ydata())) == ("user", [1, 2, 3], [0.5, 0.75, 0.875])
    assert (item.get_label(), list(item.get_ydata())) == ("item", [0.75])


def test_floors_and_models_are_drawn_each() -> None:
    models, floors = {"svd-1": 0.87, "nmf-1": 0.91}, {"item_mean": 0.98, "global_mean": 1.05}
    drawn = {
        comparison("rmse", models, floors),
        comparison("rmse", models, floors | {"item_mean": 0.9}),
        comparison("rmse", models, {"item_mean": 0.98}),
        comparison("rmse", models, {}),
        comparison("rmse", {"svd-1": 0.87}, floors),
        comparison("rmse", {}, floors),
        comparison("ndcg", models, floors),
    }
    assert len(drawn) == 7


def test_the_image_says_what_it_shows_and_is_the_same_each_time() -> None:
    first = comparison("rmse", {"svd-1": 0.87}, {})
    assert first.startswith("![rmse of the models](data:image/png;base64,")
    assert first == comparison("rmse", {"svd-1": 0.87}, {})


def test_a_large_plot_is_still_small() -> None:
    noise = np.random.default_rng(0)
    curves = {f"curve_{number}": list(noise.random(2_000)) for number in range(8)}
    assert len(training_curves(curves)) < 100_000
    assert len(rating_distribution(noise.random(300))) < 100_000


def test_an_effect_by_day_is_a_picture_even_if_an_interval_is_not_known_yet() -> None:
    curve = EffectCurve([1, 2, 3], [0.1, 0.08, 0.09], [(-np.inf, np.inf), (-0.1, 0.2), (0.01, 0.2)])
    assert effect_by_day("ctr", {"nmf": curve}, 0.02).startswith(b"\x89PNG")
    assert effect_by_day("ctr", {}, 0.02).startswith(b"\x89PNG")
