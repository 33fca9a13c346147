"""All items that can be listed: those of the model, and after them those that came since."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.top_items import TopItems

_ROUNDING = 2.0**-24  # of one float32 operation


@dataclass(frozen=True, eq=False)
class NewItems:
    """Items that the model does not know, solved from the users who interacted with them.

    Attributes:
        ids: Item ids, in the order of the rows.
        ranking_factors: (m, k) float32 in the space of the ranking head.
        rating_factors: (m, k) float32 in the space of the rating head.
        rating_bias: (m,) float32 item biases of the rating head.
        popularity: (m,) float32 distinct users.
        score_deviation: (m,) float32 of the ranking scores over all users of the model.
    """

    ids: tuple[str, ...]
    ranking_factors: NDArray[np.float32]
    rating_factors: NDArray[np.float32]
    rating_bias: NDArray[np.float32]
    popularity: NDArray[np.float32]
    score_deviation: NDArray[np.float32]

    @cached_property
    def index(self) -> dict[str, int]:
        """Item id -> row."""
        return {item_id: row for row, item_id in enumerate(self.ids)}

    @cached_property
    def greatest_length(self) -> float:
        """Euclidean length of the longest ranking vector, 0 without any."""
        return float(np.linalg.norm(self.ranking_factors.astype(np.float64), axis=1).max(initial=0.0))

    def discount(self, strength: float) -> NDArray[np.float32]:
        """(m,) factors as `ranking.popularity_discount` gives them."""
        differs = self.score_deviation > 0
        deviation = np.where(differs, self.score_deviation, np.float32(1))
        return np.asarray(deviation ** np.float32(-strength), dtype=np.float32)


def no_new_items(model: FactorModel) -> NewItems:
    """The state before the first event of an unknown item."""
    nothing = np.empty(0, dtype=np.float32)
    ranking, rating = (head.item_factors[:0] for head in (model.ranking, model.rating))
    return NewItems((), ranking, rating, nothing, nothing, nothing)


@dataclass(frozen=True, eq=False)
class ItemSpace:
    """Items by index: 0..model.n_items-1 as in the model, then the rows of `new`.

    Attributes:
        model: The model that knows the first items.
        new: The items after them.
    """

    model: FactorModel
    new: NewItems = field(repr=False)

    def __len__(self) -> int:
        return self.model.n_items + len(self.new.ids)

    def index(self, item_id: str) -> int:
        """Index of an item, -1 if it is unknown."""
        item = self.model.item_ids.index(item_id)
        if item >= 0:
            return item
        row = self.new.index.get(item_id, -1)
        return row + self.model.n_items if row >= 0 else -1

    def indices(self, item_ids: Iterable[str]) -> NDArray[np.int64]:
        """Indices of those items that are known."""
        found = [self.index(item_id) for item_id in item_ids]
        return np.array([item for item in found if item >= 0], dtype=np.int64)

    def item_id(self, item: int) -> str:
        """Id of an item."""
        n = self.model.n_items
        return self.model.item_ids[item] if item < n else self.new.ids[item - n]

    def title(self, item: int) -> str:
        """Title of an item, "" if unknown."""
        return self.model.catalogue.titles[item] if item < self.model.n_items else ""

    @cached_property
    def popularity(self) -> NDArray[np.float32]:
        """(n,) distinct users per item: of the training history, or for a new item of the live events."""
        return np.concatenate((self.model.popularity, self.new.popularity)) if self.new.ids else self.model.popularity

    def scores(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) products of all ranking factors with a vector (k,), in an array of its own."""
        scores = np.empty(len(self), dtype=np.float32)
        n = self.model.n_items
        np.dot(self.model.ranking.item_factors, vector, out=scores[:n])
        np.dot(self.new.ranking_factors, vector, out=scores[n:])
        return scores

    def new_scores(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """(m,) products of the new items' ranking factors with a vector (k,)."""
        scores: NDArray[np.float64] = (self.new.ranking_factors.astype(np.float64) * vector).sum(axis=1)
        return scores

    def best_new_score(self, vector: NDArray[np.float32]) -> float:
        """A little more than the greatest of `new_scores`, quicker; -inf without any."""
        if not self.new.ids:
            return -np.inf
        rounding = 2 * (len(vector) + 8) * _ROUNDING * float(np.linalg.norm(vector)) * self.new.greatest_length
        return float((self.new.ranking_factors @ vector).max()) + rounding

    def with_new_items(
        self, known: TopItems, vector: NDArray[np.float32], n: int, excluded: NDArray[np.integer]
    ) -> TopItems:
        """The best `n` of the model's best and the new items.

        Args:
            known: The best `n` of the model's items.
            vector: (k,) that they were found with.
            n: Length of the list.
            excluded: Indices of items to leave out; those of the model's items are ignored.
        """
        scores = self.new_scores(vector)
        eligible = np.ones(len(scores), dtype=bool)
        eligible[excluded[excluded >= self.model.n_items] - self.model.n_items] = False
        items = np.concatenate((known.items, np.flatnonzero(eligible) + self.model.n_items))
        joined = np.concatenate((known.scores, scores[eligible]))
        order = np.lexsort((items, -joined))[:n]
        return TopItems(items[order], joined[order])

    def vectors(self, items: NDArray[np.integer]) -> NDArray[np.float32]:
        """(m, k) ranking factors of items."""
        return self._rows(self.model.ranking.item_factors, self.new.ranking_factors, items)

    def rating_vectors(self, items: NDArray[np.integer]) -> NDArray[np.float32]:
        """(m, k) factors of items in the rating head."""
        return self._rows(self.model.rating.item_factors, self.new.rating_factors, items)

    def rating_bias(self, items: NDArray[np.integer]) -> NDArray[np.float32]:
        """(m,) biases of items in the rating head."""
        return self._rows(self.model.rating.item_bias, self.new.rating_bias, items)

    def stars(self, items: NDArray[np.integer], vector: NDArray[np.float32], bias: float) -> NDArray[np.float64]:
        """(m,) ratings predicted for a user of the rating head, inside the scale."""
        scale = self.model.manifest.scale
        stars: NDArray[np.float64] = (self.rating_vectors(items) @ vector + self.rating_bias(items)).astype(np.float64)
        return (stars + (self.model.rating.global_mean + bias)).clip(scale.min, scale.max)

    @cached_property
    def norms(self) -> NDArray[np.float32]:
        """(n,) Euclidean lengths of the ranking factors."""
        of_new = np.linalg.norm(self.new.ranking_factors, axis=1).astype(np.float32)
        return np.concatenate((self.model.ranking.item_norms, of_new))

    def cosines(self, item: int) -> NDArray[np.float32]:
        """(n,) cosine of every item with one item, in -1..1; 0 where a vector is zero."""
        products = self.scores(self.vectors(np.array([item]))[0])
        lengths = self.norms * self.norms[item]
        np.divide(products, lengths, out=products, where=lengths > 0)
        products[lengths == 0] = 0.0
        return products.clip(-1.0, 1.0, out=products)

    def _rows(
        self, known: NDArray[np.float32], new: NDArray[np.float32], items: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        n = self.model.n_items
        rows: NDArray[np.float32] = known[np.minimum(items, n - 1) if self.new.ids else items]
        if not self.new.ids:
            return rows
        is_new = items >= n
        rows[is_new] = new[items[is_new] - n]
        return rows
