"""Rating head of `svd`: biased matrix factorisation by stochastic gradient descent, with the implicit term of SVD++.

Model and updates: Koren, Bell, Volinsky 2009, "Matrix factorization techniques for recommender systems", and Koren
2008, "Factorization meets the neighborhood". The users are solved in closed form afterwards, see `user_step`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_assets.settings import SvdSettings
from recommender_assets.training.compilation import writable
from recommender_assets.training.gradient_descent import descend, descend_with_implicit_term
from recommender_assets.training.implicit_term import implicit_terms
from recommender_assets.training.progress import Progress
from recommender_assets.training.rating_unit import star_unit
from recommender_assets.training.rows import Rows, rating_rows
from recommender_serving.engine.factor_model import RatingHead
from recommender_serving.engine.history import Observations

Float32s = NDArray[np.float32]

STAGE = "rating head"
SEARCH_STAGE = "rating head, epochs to train"
_PATIENCE = 3  # epochs without a better validation RMSE


def fit_rating_svd(
    observations: Observations, n_items: int, settings: SvdSettings, seed: int, progress: Progress
) -> tuple[RatingHead, dict[str, list[float]]]:
    """Fit all parameters to the rated pairs; the users are those of the gradient descent.

    With a `validation_share` the epochs are counted first, on the rest of the ratings: training stops there once the
    validation RMSE has not fallen for three epochs. Then everything is trained on for the best number of epochs.

    Args:
        observations: what is learnt from, at least one rating; pairs without one count in the implicit term alone.
        n_items: number of items; one without a rating keeps a bias of 0 and factors near 0.
        settings: `models.svd`.
        seed: fixes the start and the order in which the users are visited.
        progress: called after every epoch with the epoch's `rating_rmse`; while epochs are counted with
            `search_rmse` and `validation_rmse`.

    Returns:
        The head, and `rating_rmse` (training RMSE of every epoch, while the parameters were changing), with a
        `validation_share` also `validation_rmse`.
    """
    curves: dict[str, list[float]] = {}
    epochs = settings.epochs
    if settings.validation_share:
        curves["validation_rmse"] = _validation_curve(observations, n_items, settings, seed, progress)
        epochs = int(np.argmin(curves["validation_rmse"])) + 1 if curves["validation_rmse"] else epochs
    descent = _Descent.start(observations, n_items, settings, seed)
    curves["rating_rmse"] = []
    for epoch in range(1, epochs + 1):
        curves["rating_rmse"].append(descent.epoch(epoch))
        progress(STAGE, epoch, epochs, {"rating_rmse": curves["rating_rmse"][-1]})
    return descent.head(), curves


def _validation_curve(
    observations: Observations, n_items: int, settings: SvdSettings, seed: int, progress: Progress
) -> list[float]:
    """RMSE of every epoch on a random share of the ratings; empty if there are too few to set any apart."""
    rated = ~np.isnan(observations.rating)
    chosen = rated & (np.random.default_rng([seed, 1]).random(len(rated)) < settings.validation_share)
    if not chosen.any() or chosen.sum() == rated.sum():
        return []
    descent = _Descent.start(observations.select(~chosen), n_items, settings, seed)
    validation = observations.select(chosen)
    curve: list[float] = []
    for epoch in range(1, settings.epochs + 1):
        training_rmse = descent.epoch(epoch)
        curve.append(descent.rmse(validation))
        progress(SEARCH_STAGE, epoch, settings.epochs, {"search_rmse": training_rmse, "validation_rmse": curve[-1]})
        if epoch - 1 - int(np.argmin(curve)) >= _PATIENCE:
            break
    return curve


@dataclass(frozen=True, eq=False)
class _Descent:
    """Parameters on their way, and what they are fitted to."""

    settings: SvdSettings
    random: np.random.Generator
    observations: Observations
    ratings: Rows
    mean: float
    unit: float
    centred: Float32s
    user_factors: Float32s
    item_factors: Float32s
    implicit_factors: Float32s
    user_bias: Float32s
    item_bias: Float32s

    @classmethod
    def start(cls, observations: Observations, n_items: int, settings: SvdSettings, seed: int) -> "_Descent":
        random = np.random.default_rng(seed)
        ratings = rating_rows(observations)
        mean, unit = float(ratings.target.mean(dtype=np.float64)), star_unit(ratings.target)
        return cls(
            settings=settings,
            random=random,
            observations=observations,
            ratings=ratings,
            mean=mean,
            unit=unit,
            centred=(ratings.target - np.float32(mean)) / np.float32(unit),
            user_factors=_start(random, ratings.n_rows, settings),
            item_factors=_start(random, n_items, settings),
            implicit_factors=np.zeros((n_items if settings.implicit_term else 0, settings.factors), dtype=np.float32),
            user_bias=np.zeros(ratings.n_rows, np.float32),
            item_bias=np.zeros(n_items, np.float32),
        )

    def epoch(self, number: int) -> float:
        """Visit every rating once; `number` counts from 1. Returns the training RMSE.

        Raises:
            FloatingPointError: the parameters are no longer finite.
        """
        settings = self.settings
        rate = np.float32(settings.learning_rate * settings.learning_rate_decay ** (number - 1))
        users = self.random.permutation(self.ratings.n_rows)
        rated = (writable(self.ratings.indptr), writable(self.ratings.column), self.centred)
        penalties = (np.float32(settings.regularization), np.float32(settings.bias_regularization))
        if settings.implicit_term:
            squares = descend_with_implicit_term(
                users,
                *rated,
                writable(self.observations.indptr),
                writable(self.observations.item),
                self.user_factors,
                self.item_factors,
                self.implicit_factors,
                self.user_bias,
                self.item_bias,
                rate,
                *penalties,
                np.float32(settings.implicit_regularization),
            )
        else:
            squares = descend(
                users, *rated, self.user_factors, self.item_factors, self.user_bias, self.item_bias, rate, *penalties
            )
        rmse = self.unit * float(np.sqrt(squares / len(self.centred)))
        if not np.isfinite(rmse):
            raise FloatingPointError(
                f"models.svd: diverged in epoch {number} at learning_rate {settings.learning_rate}; lower it"
            )
        return rmse

    def rmse(self, validation: Observations) -> float:
        """Error on ratings that are not trained on, of the same users."""
        user, item = validation.user_of_row(), validation.item
        factors = self._users_with_implicit_term()
        stars = self.user_bias[user] + self.item_bias[item]
        stars += np.einsum("nf,nf->n", factors[user], self.item_factors[item])
        error = self.mean + self.unit * stars - validation.rating
        return float(np.sqrt(np.mean(np.square(error), dtype=np.float64)))

    def head(self) -> RatingHead:
        return svd_rating_head(
            self.settings,
            mean=self.mean,
            unit=self.unit,
            item_bias=self.item_bias,
            item_factors=self.item_factors,
            user_bias=self.user_bias,
            user_factors=self._users_with_implicit_term(),
            implicit_factors=self.implicit_factors,
        )

    def _users_with_implicit_term(self) -> Float32s:
        if not self.settings.implicit_term:
            return self.user_factors
        return self.user_factors + implicit_terms(self.implicit_factors, self.observations).astype(np.float32)


def svd_rating_head(
    settings: SvdSettings,
    *,
    mean: float,
    unit: float,
    item_bias: Float32s,
    item_factors: Float32s,
    user_bias: Float32s,
    user_factors: Float32s,
    implicit_factors: Float32s,
) -> RatingHead:
    """The head of parameters that predict how many units a rating is above the mean.

    Args:
        settings: `models.svd`.
        mean: of the ratings.
        unit: see `rating_unit`; items and biases take it up, so that users are solved alike on every scale.
        item_bias: (n_items,).
        item_factors: (n_items, k).
        user_bias: (n_users,).
        user_factors: (n_users, k).
        implicit_factors: (n_items, k), (0, k) without the term.
    """
    scale = np.float32(unit)
    return RatingHead(
        global_mean=mean,
        item_bias=scale * item_bias,
        item_factors=scale * item_factors,
        user_bias=scale * user_bias,
        user_factors=user_factors,
        prior=np.zeros(settings.factors, dtype=np.float32),
        implicit_factors=implicit_factors,
        regularization=settings.user_regularization * unit**2,
        bias_regularization=settings.user_bias_regularization,
        has_user_bias=True,
        non_negative=False,
    )


def _start(random: np.random.Generator, n: int, settings: SvdSettings) -> Float32s:
    return random.standard_normal((n, settings.factors), dtype=np.float32) * np.float32(settings.initial_deviation)
