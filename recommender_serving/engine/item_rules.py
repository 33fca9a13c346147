"""Rules about which items may be listed and how their scores are weighed, and the list that follows from them.

The rules hold inside the search, not after it: a list is as long as was asked for whenever that many items can be
listed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.best_scores import best
from recommender_serving.engine.category_caps import CategoryCaps
from recommender_serving.engine.diversity import diverse
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.item_space import ItemSpace
from recommender_serving.engine.ranking import popularity_discount

_KEPT_MASKS = 16  # one byte per item each
_KEPT_FACTORS = 4  # four bytes per item each
_FIRST_CANDIDATES = 64


@dataclass(frozen=True)
class Rules:
    """What a caller asks of a list.

    Attributes:
        excluded_items: Ids that must not be listed; unknown ones are ignored.
        include_categories: Only items in at least one of these, unless empty.
        exclude_categories: No items in any of these.
        max_per_category: How many items of a category may be listed: one number for all, or a number per category. An
            item counts in each of its categories; the list is filled from the best item down, leaving out those
            without room.
        item_boosts: Item id -> factor greater than 0.
        category_boosts: Category -> factor greater than 0; an item has the product of its categories' factors.
        popularity_discount: Strength of `ranking.popularity_discount`, 0 (none) to 1.
        diversity: See `engine/diversity.py`.
    """

    excluded_items: frozenset[str] = frozenset()
    include_categories: frozenset[str] = frozenset()
    exclude_categories: frozenset[str] = frozenset()
    max_per_category: int | Mapping[str, int] | None = None
    item_boosts: Mapping[str, float] = field(default_factory=dict)
    category_boosts: Mapping[str, float] = field(default_factory=dict)
    popularity_discount: float = 0.0
    diversity: float = 0.0

    @property
    def categories(self) -> set[str]:
        """All categories that are named."""
        capped = self.max_per_category if isinstance(self.max_per_category, Mapping) else {}
        return {*self.include_categories, *self.exclude_categories, *capped, *self.category_boosts}

    @property
    def reorders(self) -> bool:
        """Whether a list is more than the best scores of the items that may be listed."""
        weighs = self.item_boosts or self.category_boosts or self.popularity_discount
        return bool(weighs or self.diversity or self.max_per_category is not None)


class Selector:
    """Applies rules to the items of one model; keeps what rules about categories and popularity come down to.

    Args:
        model: The model; items that came after it are in no category.
    """

    def __init__(self, model: FactorModel) -> None:
        self._categories = model.catalogue.category_index
        self._model = model
        self._allowed = lru_cache(_KEPT_MASKS)(self._work_out_allowed)
        self._boosts = lru_cache(_KEPT_FACTORS)(self._work_out_boosts)
        self._discount = lru_cache(_KEPT_FACTORS)(self._work_out_discount)

    def unknown_categories(self, rules: Rules) -> list[str]:
        """Categories that the rules name and no item has."""
        return sorted(rules.categories - self._categories.codes(rules.categories).keys())

    def eligible(self, space: ItemSpace, rules: Rules, seen: NDArray[np.integer]) -> NDArray[np.bool_]:
        """(n_items,) which items may be listed, in an array of its own.

        Args:
            space: The items.
            rules: The rules about items and categories.
            seen: Indices that are left out besides.
        """
        allowed = self._allowed(rules.include_categories, rules.exclude_categories)
        eligible = np.full(len(space), not rules.include_categories)
        eligible[: len(allowed)] = allowed
        eligible[seen] = False
        eligible[space.indices(rules.excluded_items)] = False
        return eligible

    def weighed(self, space: ItemSpace, scores: NDArray[np.float32], rules: Rules) -> NDArray[np.float32]:
        """(n_items,) scores with discount and boosts; a boost divides a negative score, so that it always lifts."""
        if rules.popularity_discount:
            scores = scores * np.append(
                self._discount(rules.popularity_discount), space.new.discount(rules.popularity_discount)
            )
        if not rules.item_boosts and not rules.category_boosts:
            return scores
        boosts = np.ones(len(space), dtype=np.float32)
        of_known = self._boosts(frozenset(rules.category_boosts.items()))
        boosts[: len(of_known)] = of_known
        items = space.indices(rules.item_boosts)
        boosts[items] *= np.array([rules.item_boosts[space.item_id(item)] for item in items.tolist()], np.float32)
        return np.where(scores < 0, scores / boosts, scores * boosts)

    def select(
        self, space: ItemSpace, scores: NDArray[np.float32], eligible: NDArray[np.bool_], n: int, rules: Rules
    ) -> NDArray[np.int64]:
        """Indices of the list, best first.

        Args:
            space: The items.
            scores: (n_items,) as `weighed` gives them.
            eligible: (n_items,) as `eligible` gives it.
            n: Length of the list; it is shorter only when fewer items can be listed.
            rules: Caps and diversity.
        """
        scores = np.where(eligible, scores, np.float32(-np.inf))
        caps = CategoryCaps(self._categories, self._caps(rules))
        if rules.diversity:
            return diverse(space, scores, n, rules.diversity, caps)
        return best(scores, n) if rules.max_per_category is None else _capped(scores, n, caps)

    def _caps(self, rules: Rules) -> dict[int, int]:
        if rules.max_per_category is None:
            return {}
        if isinstance(rules.max_per_category, int):
            return dict.fromkeys(range(len(self._categories.names)), rules.max_per_category)
        codes = self._categories.codes(rules.max_per_category)
        return {code: rules.max_per_category[name] for name, code in codes.items()}

    def _work_out_allowed(self, include: frozenset[str], exclude: frozenset[str]) -> NDArray[np.bool_]:
        categories = self._categories
        allowed = ~categories.having(categories.codes(exclude).values())
        if include:
            allowed &= categories.having(categories.codes(include).values())
        of_item: NDArray[np.bool_] = allowed[categories.combination]
        return of_item

    def _work_out_boosts(self, boosts: frozenset[tuple[str, float]]) -> NDArray[np.float32]:
        categories, boost_of = self._categories, dict(boosts)
        of_category = {code: boost_of[name] for name, code in categories.codes(boost_of).items()}
        of_combination = [math.prod(of_category.get(code, 1.0) for code in codes) for codes in categories.members]
        of_item: NDArray[np.float32] = np.array(of_combination, dtype=np.float32)[categories.combination]
        return of_item

    def _work_out_discount(self, strength: float) -> NDArray[np.float32]:
        head = self._model.ranking
        return popularity_discount(head.user_factors, head.item_factors, strength)


def _capped(scores: NDArray[np.float32], n: int, caps: CategoryCaps) -> NDArray[np.int64]:
    """Fill a list from the best item down, in rounds over ever more candidates; full categories drop out in between."""
    listed: list[int] = []
    caps.close(scores)
    n_candidates = _FIRST_CANDIDATES
    while len(listed) < n and len(candidates := best(scores, n_candidates)):
        for item in candidates.tolist():
            if len(listed) < n and caps.admits(item):
                listed.append(item)
                caps.admit(item)
        scores[candidates] = -np.inf
        caps.close(scores)
        n_candidates *= 4
    return np.array(listed, dtype=np.int64)
