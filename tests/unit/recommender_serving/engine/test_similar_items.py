import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender_serving.engine.item_space import ItemSpace, NewItems, no_new_items
from recommender_serving.engine.similar_items import most_similar
from tests.factories import make_model


def space_of(n_items: int, n_new: int = 0, seed: int = 0) -> ItemSpace:
    """Random items; small whole numbers, so that there are zero vectors and equal directions among them."""
    random = np.random.default_rng(seed)
    model = make_model(n_items=n_items, factors=3, seed=seed)
    model.ranking.item_factors[:] = random.integers(-2, 3, size=(n_items, 3))
    if not n_new:
        return ItemSpace(model, no_new_items(model))
    factors = random.integers(-2, 3, size=(n_new, 3)).astype(np.float32)
    ids, ones = tuple(f"new{number}" for number in range(n_new)), np.ones(n_new, dtype=np.float32)
    return ItemSpace(model, NewItems(ids, factors, factors, ones, ones, ones))


def brute_force(factors: NDArray[np.float32], item: int, n: int) -> tuple[list[int], list[float]]:
    """Every cosine in float64, one after the other, all sorted."""
    wide = factors.astype(np.float64)
    cosines = {
        other: min(max(float((wide[other] * wide[item]).sum() / (length(wide[other]) * length(wide[item]))), -1.0), 1.0)
        for other in range(len(wide))
        if other != item and wide[other].any() and wide[item].any()
    }
    order = sorted(cosines, key=lambda other: (-cosines[other], other))[:n]
    return order, [cosines[other] for other in order]


def length(vector: NDArray[np.float64]) -> float:
    return float(np.sqrt((vector**2).sum()))


@given(st.integers(1, 60), st.integers(0, 5), st.integers(1, 70), st.integers(0, 1_000), st.data())
def test_the_list_is_that_of_brute_force(n_items: int, n_new: int, n: int, seed: int, data: st.DataObject) -> None:
    space = space_of(n_items, n_new, seed)
    item = data.draw(st.integers(0, len(space) - 1))
    expected, cosines = brute_force(space.vectors(np.arange(len(space))), item, n)
    found = most_similar(space, item, n)
    np.testing.assert_allclose(found.scores, cosines, rtol=0, atol=1e-15)
    assert found.items.tolist() == expected


@pytest.mark.parametrize("factors", [1, 16, 200])
def test_items_that_float32_cannot_tell_apart_are_in_the_order_of_float64(factors: int) -> None:
    random = np.random.default_rng(factors)
    model = make_model(n_items=3_000, factors=factors)
    base = random.normal(size=factors)
    nearly_alike = base * (1 + 1e-6 * random.normal(size=(3_000, factors))) * random.uniform(0.1, 9, size=(3_000, 1))
    model.ranking.item_factors[:] = nearly_alike
    found = most_similar(ItemSpace(model, no_new_items(model)), 17, 25)
    expected, cosines = brute_force(model.ranking.item_factors, 17, 25)
    assert found.items.tolist() == expected
    assert found.scores.tolist() == cosines


def test_an_item_without_a_direction_is_like_no_other() -> None:
    space = space_of(20, seed=3)
    space.model.ranking.item_factors[4] = 0
    assert most_similar(space, 4, 10).items.tolist() == []
    assert 4 not in most_similar(space, 5, 20).items
