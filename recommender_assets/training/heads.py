"""Both heads of a model: fitted to observations, with the users solved exactly from any observations."""

from dataclasses import dataclass, replace
from typing import Protocol

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.progress import Progress, silent
from recommender_assets.training.ranking import fit_ranking
from recommender_assets.training.rating_nmf import fit_rating_nmf
from recommender_assets.training.rating_svd import fit_rating_svd
from recommender_assets.training.rows import Rows, rating_rows, strength_rows
from recommender_assets.training.user_step import solve_ranking_users, solve_rating_users
from recommender_serving.engine.factor_model import RankingHead, RatingHead
from recommender_serving.engine.history import Observations


class TooFewRatingsError(ValueError):
    """There is no rating to learn from outside the hold-out."""


@dataclass(frozen=True, eq=False)
class Heads:
    """Both heads, and how they got there.

    Attributes:
        rating: its users are solved from the observations they were given last.
        ranking: likewise.
        curves: `rating_rmse` and perhaps `validation_rmse` for each epoch, `ranking_loss` for each iteration.
    """

    rating: RatingHead
    ranking: RankingHead
    curves: dict[str, list[float]]


class FitHeads(Protocol):
    """What an engine does: fit both heads to the observations, see `fit_heads`."""

    def __call__(
        self,
        observations: Observations,
        n_items: int,
        hyper_parameters: SvdSettings | NmfSettings,
        seed: int,
        progress: Progress = silent,
    ) -> Heads:
        """Raises TooFewRatingsError if no observation has a rating."""


def fit_heads(
    observations: Observations,
    n_items: int,
    hyper_parameters: SvdSettings | NmfSettings,
    seed: int,
    progress: Progress = silent,
) -> Heads:
    """Fit both heads to the observations; the users are those of the last iteration, see `with_users_of`.

    Raises:
        TooFewRatingsError: no observation has a rating.
    """
    ratings = rating_rows(observations)
    require_ratings(ratings)
    if isinstance(hyper_parameters, SvdSettings):
        rating, curves = fit_rating_svd(observations, n_items, hyper_parameters, seed, progress)
    else:
        rating, curves = fit_rating_nmf(ratings, n_items, hyper_parameters, seed, progress)
    ranking, ranking_loss = fit_ranking(strength_rows(observations), n_items, hyper_parameters, seed, progress)
    return Heads(rating=rating, ranking=ranking, curves={**curves, "ranking_loss": ranking_loss})


def require_ratings(ratings: Rows) -> None:
    """Refuse to learn stars from nothing.

    Raises:
        TooFewRatingsError: there is no rating.
    """
    if not len(ratings.column):
        raise TooFewRatingsError("no rating to learn from outside the hold-out: ingest rating events first")


def with_users_of(heads: Heads, observations: Observations) -> Heads:
    """The same item factors, with the users solved exactly from the observations."""
    user_factors, user_bias = solve_rating_users(heads.rating, observations)
    return replace(
        heads,
        rating=replace(heads.rating, user_factors=user_factors, user_bias=user_bias),
        ranking=replace(heads.ranking, user_factors=solve_ranking_users(heads.ranking, observations)),
    )
