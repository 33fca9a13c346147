import base64
import re

import numpy as np
import pytest

from recommender_assets.presentation.plots import (
    comparison,
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
