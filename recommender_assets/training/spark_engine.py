"""Both heads by Spark MLlib's alternating least squares, for observations that one machine would factorise too slowly.

MLlib multiplies its one penalty by the number of a user's or item's ratings (Zhou et al. 2008, "Large-scale parallel
collaborative filtering for the Netflix prize") and knows neither biases nor two penalties, so hyper-parameters carry
over as follows: the penalty of `svd` per rating is the SGD penalty, which works alike; constant penalties are divided
by the mean number of ratings per user; `unobserved_weight` a becomes alpha = 1 / a. The users are solved exactly
afterwards, as for the local engine.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.heads import Heads, require_ratings
from recommender_assets.training.progress import Progress, silent
from recommender_assets.training.ranking import ranking_head
from recommender_assets.training.rating_nmf import floor_and_unit, nmf_rating_head
from recommender_assets.training.rating_svd import svd_rating_head
from recommender_assets.training.rating_unit import star_unit
from recommender_assets.training.rows import Rows, rating_rows, strength_rows
from recommender_serving.engine.factor_model import RankingHead, RatingHead
from recommender_serving.engine.history import Observations

Float32s = NDArray[np.float32]

_PSEUDO_RATINGS = 5.0  # of the global mean, in an item's bias
_EXACTNESS = 2.5  # more penalty for ratings fitted by exact steps than by gradients or sweeps; from validation rows
_CHUNK = 65_536  # pairs whose error is computed at once


@dataclass(frozen=True)
class SparkEngine:
    """Fits heads like `heads.fit_heads`, on the executors of a session.

    Attributes:
        spark: the session; the observations are sent from this process, once per head.
        checkpoints: a folder that all executors reach; without checkpoints, twenty iterations overflow their stacks.
    """

    spark: SparkSession
    checkpoints: Path

    def __call__(
        self,
        observations: Observations,
        n_items: int,
        hyper_parameters: SvdSettings | NmfSettings,
        seed: int,
        progress: Progress = silent,
    ) -> Heads:
        """Fit both heads; the users are MLlib's own, see `heads.with_users_of`.

        Raises:
            TooFewRatingsError: no observation has a rating.
        """
        self.spark.sparkContext.setCheckpointDir(str(self.checkpoints))
        ratings = rating_rows(observations)
        require_ratings(ratings)
        if isinstance(hyper_parameters, SvdSettings):
            rating, rmse = self._svd_rating(ratings, n_items, hyper_parameters, seed)
        else:
            rating, rmse = self._nmf_rating(ratings, n_items, hyper_parameters, seed)
        progress("rating head", 1, 2, {"rating_rmse": rmse})
        ranking, loss = self.fit_ranking(strength_rows(observations), n_items, hyper_parameters, seed)
        progress("ranking head", 2, 2, {"ranking_loss": loss})
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        return Heads(rating=rating, ranking=ranking, curves={"rating_rmse": [rmse], "ranking_loss": [loss]})

    def _svd_rating(self, rows: Rows, n_items: int, settings: SvdSettings, seed: int) -> tuple[RatingHead, float]:
        mean, unit = float(rows.target.mean(dtype=np.float64)), star_unit(rows.target)
        count = np.bincount(rows.column, minlength=n_items)
        above = (rows.target - np.float32(mean)) / np.float32(unit)
        surplus = np.bincount(rows.column, weights=above, minlength=n_items)
        item_bias = (surplus / (count + _PSEUDO_RATINGS)).astype(np.float32)
        residual = above - item_bias[rows.column]
        als = ALS(
            rank=settings.factors,
            maxIter=settings.ranking_iterations,
            regParam=_EXACTNESS * settings.regularization,
            seed=seed,
        )
        user_factors, item_factors = self._factorise(als, rows, residual, n_items)
        head = svd_rating_head(
            settings,
            mean=mean,
            unit=unit,
            item_bias=item_bias,
            item_factors=item_factors,
            user_bias=np.zeros(rows.n_rows, np.float32),
            user_factors=user_factors,
            implicit_factors=np.empty((0, settings.factors), np.float32),
        )
        return head, unit * _rmse(rows, residual, user_factors, item_factors)

    def _nmf_rating(self, rows: Rows, n_items: int, settings: NmfSettings, seed: int) -> tuple[RatingHead, float]:
        floor, unit = floor_and_unit(rows)
        target = (rows.target - np.float32(floor)) / np.float32(unit)
        als = ALS(
            rank=settings.factors,
            maxIter=settings.iterations,
            regParam=_EXACTNESS * settings.regularization / _mean_row_length(rows) + settings.alpha,
            nonnegative=True,
            seed=seed,
        )
        user_factors, item_factors = self._factorise(als, rows, target, n_items)
        rmse = unit * _rmse(rows, target, user_factors, item_factors)
        return nmf_rating_head(rows, user_factors, item_factors, settings, floor=floor, unit=unit), rmse

    def fit_ranking(
        self, rows: Rows, n_items: int, settings: SvdSettings | NmfSettings, seed: int
    ) -> tuple[RankingHead, float]:
        """The ranking head, its users MLlib's own, and its loss per observed pair; arguments as in `ranking.py`."""
        weight = settings.unobserved_weight
        als = ALS(
            rank=settings.factors,
            maxIter=settings.ranking_iterations,
            regParam=settings.ranking_regularization / (weight * _mean_row_length(rows)),
            implicitPrefs=True,
            alpha=1.0 / weight,
            nonnegative=isinstance(settings, NmfSettings),
            seed=seed,
        )
        user_factors, item_factors = self._factorise(als, rows, rows.weight, n_items)
        head = ranking_head(user_factors, item_factors, settings)
        return head, _ranking_loss(rows, head, settings.ranking_item_regularization)

    def _factorise(self, als: ALS, rows: Rows, value: Float32s, n_items: int) -> tuple[Float32s, Float32s]:
        """User and item factors; zeros for those without an entry."""
        table = pa.table({"user": rows.row_of_entry(), "item": rows.column, "value": value})
        blocks = self.spark.sparkContext.defaultParallelism
        als = als.setUserCol("user").setItemCol("item").setRatingCol("value").setNumBlocks(blocks)
        model = als.fit(self.spark.createDataFrame(table).repartition(blocks))
        rank = als.getRank()
        return _dense(model.userFactors, rows.n_rows, rank), _dense(model.itemFactors, n_items, rank)


def _dense(factors: DataFrame, n: int, rank: int) -> Float32s:
    table = factors.toArrow()
    dense = np.zeros((n, rank), dtype=np.float32)
    dense[table["id"].to_numpy()] = pc.list_flatten(table["features"]).to_numpy().reshape(-1, rank)
    return dense


def _mean_row_length(rows: Rows) -> float:
    return len(rows.column) / max(1, int(np.count_nonzero(np.diff(rows.indptr))))


def _rmse(rows: Rows, target: Float32s, user_factors: Float32s, item_factors: Float32s) -> float:
    return float(
        np.sqrt(_weighted_squares(rows, target, np.ones_like(target), user_factors, item_factors) / len(target))
    )


def _ranking_loss(rows: Rows, head: RankingHead, item_regularization: float) -> float:
    """The loss of `ranking.py`, per observed pair."""
    x, y = (side.astype(np.float64) for side in (head.user_factors, head.item_factors))
    loss = _weighted_squares(rows, rows.target, rows.weight, head.user_factors, head.item_factors)
    loss += head.unobserved_weight * float(np.vdot(x.T @ x, y.T @ y))
    loss += head.regularization * float(np.square(x).sum()) + item_regularization * float(np.square(y).sum())
    return loss / len(rows.column)


def _weighted_squares(
    rows: Rows, target: Float32s, weight: Float32s, user_factors: Float32s, item_factors: Float32s
) -> float:
    """Sum w (t - x.y)^2 over all entries."""
    user, total = rows.row_of_entry(), 0.0
    for start in range(0, len(target), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        product = np.einsum("nf,nf->n", user_factors[user[chunk]], item_factors[rows.column[chunk]])
        total += float(np.sum(weight[chunk] * np.square(target[chunk] - product), dtype=np.float64))
    return total
