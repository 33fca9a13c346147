"""The python_function flavour of a model in MLflow: the service's lists for users as they were when it was trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender_serving.engine.factor_model import FactorModel, read_model
from recommender_serving.engine.fold_in import fold_in_rating
from recommender_serving.engine.live_events import user_observations
from recommender_serving.engine.ranking import popular_items
from recommender_serving.engine.top_items import ItemIndex, Query

DEFAULT_LENGTH = 10
_NOTHING = np.empty(0, dtype=np.int32)


class RecommendationLists:
    """Answers as `GET /recommendations/user/{user_id}` does before the first live event.

    Args:
        model: a trained model.
    """

    def __init__(self, model: FactorModel) -> None:
        self.model = model
        self._index = ItemIndex(model.ranking.item_factors)
        self._stranger = fold_in_rating(model.rating, _NOTHING, np.empty(0, dtype=np.float32))

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The list of every user, best first.

        Args:
            model_input: column `user_id`.
            params: `num_recommendations`, 10 unless given.

        Returns:
            One row for each user and place: `user_id`, `rank` (from 1), `item_id`, `title`, `score`,
            `predicted_rating` and `source`, `popular` for a user the model does not know.
        """
        length = int((params or {}).get("num_recommendations", DEFAULT_LENGTH))
        lists = [self._list_of(str(user_id), length) for user_id in model_input["user_id"]]
        return (
            pd.concat(lists, ignore_index=True) if lists else self._table("", "popular", _NOTHING, _NOTHING, _NOTHING)
        )

    def _list_of(self, user_id: str, length: int) -> pd.DataFrame:
        model = self.model
        seen = user_observations(model, (), user_id).items
        if not len(seen):
            items = popular_items(model.popularity, length, _NOTHING)
            vector, bias = self._stranger
            return self._table(user_id, "popular", items, model.popularity[items], self._stars(items, vector, bias))
        user = model.user_ids.index(user_id)
        query = Query(vector=model.ranking.user_factors[user], n=length, excluded=seen)
        items, scores = self._index.search([query])[0]
        stars = self._stars(items, model.rating.user_factors[user], float(model.rating.user_bias[user]))
        return self._table(user_id, "personalized", items, scores, stars)

    def _stars(self, items: NDArray[np.integer], vector: NDArray[np.floating], bias: float) -> NDArray[np.floating]:
        head, scale = self.model.rating, self.model.manifest.scale
        stars = head.item_factors[items] @ vector.astype(np.float32) + head.item_bias[items]
        return np.asarray((stars.astype(np.float64) + (head.global_mean + bias)).clip(scale.min, scale.max))

    def _table(
        self,
        user_id: str,
        source: str,
        items: NDArray[np.integer],
        scores: NDArray[np.number],
        stars: NDArray[np.number],
    ) -> pd.DataFrame:
        model = self.model
        return pd.DataFrame(
            {
                "user_id": pd.Series([user_id] * len(items), dtype=object),
                "rank": np.arange(1, len(items) + 1, dtype=np.int64),
                "item_id": pd.Series([model.item_ids[item] for item in items.tolist()], dtype=object),
                "title": pd.Series([model.catalogue.titles[item] for item in items.tolist()], dtype=object),
                "score": scores.astype(np.float64),
                "predicted_rating": stars.astype(np.float64),
                "source": pd.Series([source] * len(items), dtype=object),
            }
        )


def _load_pyfunc(path: str) -> RecommendationLists:
    """What `mlflow.pyfunc.load_model` calls with the folder of the model file."""
    return RecommendationLists(read_model(Path(path)))
