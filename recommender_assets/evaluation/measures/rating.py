"""`rating`: how far predicted ratings are from the held-out ones, in the units of the scale."""

from recommender_assets.evaluation.measures.measure import Measure, Measured, MetricFacts
from recommender_assets.evaluation.metric_by_user import MetricByUser
from recommender_assets.evaluation.metrics.mae import absolute_errors
from recommender_assets.evaluation.metrics.rmse import squared_errors
from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import Split


def _measure(scores: Scores, split: Split) -> Measured:
    rated = split.rated_test
    user = rated.user_of_row()
    predicted = scores.predicted_ratings(user, rated.item)
    squared, absolute = squared_errors(predicted, rated.rating), absolute_errors(predicted, rated.rating)
    return Measured(
        {
            "rmse": MetricByUser.over_pairs(user, squared, rated.n_users, is_root=True),
            "mae": MetricByUser.over_pairs(user, absolute, rated.n_users),
        }
    )


RATING = Measure(
    name="rating",
    metrics={
        "rmse": MetricFacts("held-out ratings, predictions clipped to the scale", ("item_mean",)),
        "mae": MetricFacts("held-out ratings, predictions clipped to the scale", ("item_mean",)),
    },
    measure=_measure,
)
