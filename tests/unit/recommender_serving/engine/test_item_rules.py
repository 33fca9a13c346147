"""Lists under rules against brute force in plain Python."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender_serving.engine.factor_model import Catalogue, FactorModel
from recommender_serving.engine.item_rules import Rules, Selector
from recommender_serving.engine.item_space import ItemSpace, NewItems, no_new_items
from recommender_serving.engine.string_table import StringTable
from recommender_serving.engine.top_items import TopItems
from tests.factories import make_model

CATEGORIES = ["Action", "Comedy", "Drama", "Western"]


def model_of(categories: list[list[str]], algorithm: str = "svd", seed: int = 0) -> FactorModel:
    model = make_model(algorithm, n_items=len(categories), seed=seed)
    table = StringTable.from_strings("|".join(names) for names in categories)
    return replace(model, catalogue=Catalogue(model.catalogue.titles, table, model.catalogue.year))


def space_of(model: FactorModel, n_new: int, seed: int = 0) -> ItemSpace:
    random = np.random.default_rng(seed)
    k = model.ranking.item_factors.shape[1]
    new = NewItems(
        ids=tuple(f"new{row}" for row in range(n_new)),
        ranking_factors=random.normal(size=(n_new, k)).astype(np.float32),
        rating_factors=random.normal(size=(n_new, k)).astype(np.float32),
        rating_bias=np.zeros(n_new, np.float32),
        popularity=np.arange(1, n_new + 1, dtype=np.float32),
        score_deviation=np.linspace(0.0, 2.0, n_new, dtype=np.float32),
    )
    return ItemSpace(model, new)


class Oracle:
    """The rules, item by item."""

    def __init__(self, space: ItemSpace, rules: Rules, seen: set[int]) -> None:
        self.space, self.rules, self.seen = space, rules, seen

    def categories(self, item: int) -> set[str]:
        n = self.space.model.n_items
        return set(filter(None, self.space.model.catalogue.categories[item].split("|"))) if item < n else set()

    def eligible(self, item: int) -> bool:
        names, rules = self.categories(item), self.rules
        if item in self.seen or self.space.item_id(item) in rules.excluded_items or names & rules.exclude_categories:
            return False
        return not rules.include_categories or bool(names & rules.include_categories)

    def weighed(self, item: int, score: float) -> float:
        factor = math.prod(self.rules.category_boosts.get(name, 1.0) for name in self.categories(item))
        factor *= self.rules.item_boosts.get(self.space.item_id(item), 1.0)
        score *= self.deviation(item) ** -self.rules.popularity_discount
        return score / factor if score < 0 else score * factor

    def deviation(self, item: int) -> float:
        """Of the item's scores over all users, 1 if they do not differ."""
        n, head = self.space.model.n_items, self.space.model.ranking
        if item >= n:
            return float(self.space.new.score_deviation[item - n]) or 1.0
        return float((head.user_factors.astype(np.float64) @ head.item_factors[item]).std()) or 1.0

    def admitted(self, item: int, listed: list[int]) -> bool:
        caps = self.rules.max_per_category
        for name in self.categories(item):
            cap = caps if isinstance(caps, int) or caps is None else caps.get(name)
            if cap is not None and sum(name in self.categories(other) for other in listed) >= cap:
                return False
        return True

    def best_first(self, scores: NDArray[np.float32], n: int) -> list[int]:
        listed: list[int] = []
        for item in sorted(range(len(self.space)), key=lambda item: (-scores[item], item)):
            if len(listed) < n and self.eligible(item) and self.admitted(item, listed):
                listed.append(item)
        return listed

    def value(self, item: int, scores: NDArray[np.float32], listed: list[int]) -> float:
        """Maximal marginal relevance after the items listed."""
        of_eligible = [float(scores[other]) for other in range(len(self.space)) if self.eligible(other)]
        lowest, span = min(of_eligible), max(of_eligible) - min(of_eligible)
        relevance = (float(scores[item]) - lowest) / span if span else 0.0
        vectors = self.space.vectors(np.arange(len(self.space))).astype(np.float64)
        cosines = [
            vectors[item] @ vectors[other] / size
            if (size := math.hypot(*vectors[item]) * math.hypot(*vectors[other]))
            else 0.0
            for other in listed
        ]
        return (1 - self.rules.diversity) * relevance - self.rules.diversity * max(cosines, default=0.0)


factors = st.sampled_from([0.25, 0.5, 2.0, 10.0])
caps = st.none() | st.integers(0, 3) | st.dictionaries(st.sampled_from(CATEGORIES), st.integers(0, 2))


@st.composite
def cases(draw: st.DrawFn) -> tuple[ItemSpace, Rules, set[int], int]:
    of_items = draw(st.lists(st.lists(st.sampled_from(CATEGORIES), max_size=3, unique=True), min_size=1, max_size=25))
    model = model_of(of_items, draw(st.sampled_from(["svd", "nmf"])), draw(st.integers(0, 3)))
    space = space_of(model, draw(st.integers(0, 3)))
    some_items = st.sampled_from([space.item_id(item) for item in range(len(space))] + ["unknown"])
    some_categories = st.frozensets(st.sampled_from(CATEGORIES), max_size=2)
    rules = Rules(
        excluded_items=draw(st.frozensets(some_items, max_size=4)),
        include_categories=draw(some_categories),
        exclude_categories=draw(some_categories),
        max_per_category=draw(caps),
        item_boosts=draw(st.dictionaries(some_items, factors, max_size=3)),
        category_boosts=draw(st.dictionaries(st.sampled_from(CATEGORIES), factors, max_size=2)),
        popularity_discount=draw(st.sampled_from([0.0, 0.5, 1.0])),
    )
    return space, rules, draw(st.sets(st.integers(0, len(of_items) - 1), max_size=4)), draw(st.integers(1, 12))


def listed(
    space: ItemSpace, rules: Rules, seen: set[int], n: int
) -> tuple[list[int], NDArray[np.float32], NDArray[np.float32]]:
    selector = Selector(space.model)
    raw = space.scores(space.model.ranking.user_factors[0])
    scores = selector.weighed(space, raw, rules)
    eligible = selector.eligible(space, rules, np.array(sorted(seen), dtype=np.int64))
    return selector.select(space, scores, eligible, n, rules).tolist(), scores, raw


@settings(max_examples=300)
@given(cases())
def test_a_list_is_what_brute_force_finds(case: tuple[ItemSpace, Rules, set[int], int]) -> None:
    space, rules, seen, n = case
    items, scores, raw = listed(space, rules, seen, n)
    oracle = Oracle(space, rules, seen)
    assert items == oracle.best_first(scores, n)
    expected = [oracle.weighed(item, float(raw[item])) for item in range(len(space))]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-7)


@settings(max_examples=300)
@given(cases(), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_every_item_of_a_diverse_list_has_the_greatest_value_left(
    case: tuple[ItemSpace, Rules, set[int], int], diversity: float
) -> None:
    space, rules, seen, n = case
    rules = replace(rules, diversity=diversity)
    items, scores, _ = listed(space, rules, seen, n)
    oracle = Oracle(space, rules, seen)
    for place in range(n):
        left = [
            item
            for item in range(len(space))
            if item not in items[:place] and oracle.eligible(item) and oracle.admitted(item, items[:place])
        ]
        if place == len(items):
            assert not left, "the list is shorter than it could be"
            break
        assert items[place] in left
        if place == 0:
            assert scores[items[0]] == max(scores[item] for item in left)
            continue
        values = {item: oracle.value(item, scores, items[:place]) for item in left}
        assert values[items[place]] >= max(values.values()) - 1e-5


@pytest.mark.parametrize(
    "rules", [Rules(max_per_category=1), Rules(diversity=0.5), Rules(diversity=0.5, max_per_category=2)]
)
def test_a_large_catalogue_is_searched_in_rounds(rules: Rules) -> None:
    """Almost all of the best items are in one category, so that the first rounds find too few."""
    random = np.random.default_rng(0)
    categories = [["Action"]] * 4_900 + [[CATEGORIES[place % 4]] for place in range(100)]
    model = model_of(categories)
    model.ranking.item_factors[:4_900] += 2 * model.ranking.user_factors[0]
    model.ranking.item_factors[:] += random.normal(scale=1e-3, size=model.ranking.item_factors.shape)
    space = space_of(model, 2)
    items, scores, _ = listed(space, rules, set(), 6)
    oracle = Oracle(space, rules, set())
    if not rules.diversity:
        assert items == oracle.best_first(scores, 6)
    assert len(items) == 6
    assert all(oracle.admitted(item, items[:place]) for place, item in enumerate(items))


def test_diversity_zero_is_the_order_of_the_scores_and_more_lowers_the_similarity() -> None:
    space = space_of(model_of([["Drama"]] * 300), 0)

    def similarity(diversity: float) -> float:
        items, _, _ = listed(space, Rules(diversity=diversity), set(), 10)
        vectors = space.vectors(np.array(items))
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return float((unit @ unit.T)[np.triu_indices(10, 1)].mean())

    assert similarity(0.0) > similarity(0.3) > similarity(0.9)


def test_a_boost_lifts_an_item_with_a_negative_score() -> None:
    space = space_of(model_of([[]] * 12), 0)
    raw = space.scores(space.model.ranking.user_factors[0])
    lowest = int(raw.argmin())
    assert raw[lowest] < 0
    rules = Rules(item_boosts={space.item_id(lowest): 4.0})
    assert Selector(space.model).weighed(space, raw, rules)[lowest] == pytest.approx(raw[lowest] / 4)


def test_unknown_categories_are_named() -> None:
    rules = Rules(
        include_categories=frozenset({"Drama", "a"}),
        exclude_categories=frozenset({"b"}),
        max_per_category={"c": 1},
        category_boosts={"d": 2.0, "Action": 2.0},
    )
    assert Selector(model_of([["Drama"], ["Action"]])).unknown_categories(rules) == ["a", "b", "c", "d"]


def test_a_model_without_new_items() -> None:
    model = model_of([["Drama"], []])
    space = ItemSpace(model, no_new_items(model))
    assert len(space) == 2
    assert [space.item_id(item) for item in range(2)] == ["i0", "i1"]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 6), st.integers(1, 25), st.sets(st.integers(0, 17), max_size=8), st.integers(0, 50))
def test_new_items_join_the_models_best_as_brute_force_says(n_new: int, n: int, excluded: set[int], seed: int) -> None:
    space = space_of(make_model(n_items=12, seed=seed), n_new, seed)
    vector = np.random.default_rng(seed).normal(size=4).astype(np.float32)
    factors = space.vectors(np.arange(len(space))).astype(np.float64)
    scores = {item: float((factors[item] * vector).sum()) for item in range(len(space)) if item not in excluded}
    expected = sorted(scores, key=lambda item: (-scores[item], item))[:n]
    known = [item for item in sorted(scores, key=lambda item: (-scores[item], item)) if item < 12][:n]
    found = TopItems(np.array(known, dtype=np.int64), np.array([scores[item] for item in known]))
    joined = space.with_new_items(found, vector, n, np.array(sorted(excluded & set(range(len(space)))), dtype=np.int64))
    assert joined.items.tolist() == expected
    assert joined.scores.tolist() == pytest.approx([scores[item] for item in expected])
    exact = space.new_scores(vector).max(initial=-math.inf)
    assert exact <= space.best_new_score(vector) <= exact + 1e-4
