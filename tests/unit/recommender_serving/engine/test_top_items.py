from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender_serving.engine import top_items
from recommender_serving.engine.top_items import ItemIndex, Query, TopItems


def brute_force(factors: NDArray[np.float32], query: Query) -> TopItems:
    """Every eligible item scored in float64 and sorted by score, then index."""
    eligible = np.ones(len(factors), dtype=bool) if query.eligible is None else query.eligible.copy()
    eligible[[] if query.excluded is None else query.excluded] = False
    items = np.flatnonzero(eligible)
    scores = np.array([(factors[i].astype(np.float64) * query.vector).sum() for i in items])
    scores = scores if query.bias is None else scores + query.bias[items]
    order = sorted(range(len(items)), key=lambda place: (-scores[place], items[place]))[: query.n]
    return TopItems(items[order], scores[order])


def assert_exact(factors: NDArray[np.float32], queries: list[Query]) -> None:
    for query, found in zip(queries, ItemIndex(factors).search(queries), strict=True):
        expected = brute_force(factors, query)
        assert found.items.tolist() == expected.items.tolist()
        assert found.scores.tolist() == expected.scores.tolist()


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[NDArray[np.float32], list[Query]]:
    """Few distinct factors and repeated items, so that ties are the rule; all rules of a query, or none."""
    n_items, k = draw(st.integers(1, 120)), draw(st.integers(1, 9))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([2, 5, 1_000_000]))
    factors = (random.integers(-levels, levels + 1, (n_items, k)) / levels).astype(np.float32)
    factors[random.random(n_items) < 0.4] = factors[random.integers(n_items)]
    queries = [
        Query(
            vector=(random.integers(-levels, levels + 1, k) * (random.random() < 0.9) / levels).astype(np.float32),
            n=draw(st.integers(1, 25)),
            excluded=random.integers(0, n_items, draw(st.integers(0, n_items))).astype(np.int32),
            eligible=random.random(n_items) < 0.5 if draw(st.booleans()) else None,
            bias=(random.integers(-2, 3, n_items) / 2).astype(np.float32) if draw(st.booleans()) else None,
        )
        for _ in range(draw(st.integers(1, 5)))
    ]
    return factors, queries


@settings(max_examples=150)
@given(catalogues())
def test_lists_equal_a_full_sort(catalogue: tuple[NDArray[np.float32], list[Query]]) -> None:
    assert_exact(*catalogue)


@settings(max_examples=100)
@given(catalogues(), st.integers(1, 40), st.integers(1, 30), st.integers(1, 6))
def test_lists_equal_a_full_sort_whatever_the_blocks(
    catalogue: tuple[NDArray[np.float32], list[Query]], block: int, rescoring: int, group: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_items, "_SMALLEST_BLOCK", block)
        patch.setattr(top_items, "_BLOCK_SCORES", block)
        patch.setattr(top_items, "_LARGEST_RESCORING", rescoring)
        patch.setattr(top_items.math, "isqrt", lambda _: group)
        assert_exact(*catalogue)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e15])
def test_items_that_float32_cannot_tell_apart_are_told_apart(scale: float) -> None:
    """Scores near each other: their float32 products are in the wrong order, or equal."""
    random = np.random.default_rng(0)
    factors = np.ones((5_000, 30), dtype=np.float32)
    factors += random.integers(-3, 4, factors.shape) * np.float32(2**-23)
    vector = (random.normal(size=30) * scale).astype(np.float32)
    assert_exact(factors, [Query(vector=vector, n=50), Query(vector=-vector, n=7)])


def test_one_item_far_longer_than_the_others_widens_the_margin_only() -> None:
    random = np.random.default_rng(1)
    factors = random.normal(size=(20_000, 8)).astype(np.float32)
    factors[17] *= 1e6
    assert_exact(factors, [Query(vector=random.normal(size=8).astype(np.float32), n=10) for _ in range(3)])


def test_a_user_of_zeros_gets_the_first_items_that_are_left() -> None:
    index = ItemIndex(np.ones((50_000, 4), dtype=np.float32))
    query = Query(vector=np.zeros(4, dtype=np.float32), n=3, excluded=np.array([0, 2], dtype=np.int32))
    assert index.search([query])[0].items.tolist() == [1, 3, 4]


def test_a_list_does_not_depend_on_the_batch_or_the_thread() -> None:
    random = np.random.default_rng(2)
    index = ItemIndex(random.normal(size=(30_000, 16)).astype(np.float32))
    queries = [Query(vector=random.normal(size=16).astype(np.float32), n=10) for _ in range(24)]
    alone = [index.search([query])[0] for query in queries]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(index.search, [queries, queries[::-1][:5] + queries, queries[:1] * 3]):
            for query_found in found[-1:]:
                assert any(query_found.scores.tolist() == one.scores.tolist() for one in alone)
        together = pool.submit(index.search, queries).result()
    for one, other in zip(alone, together, strict=True):
        assert one.items.tolist() == other.items.tolist()
        assert one.scores.tolist() == other.scores.tolist()


def test_nothing_is_left() -> None:
    factors = np.ones((5, 2), dtype=np.float32)
    query = Query(vector=np.ones(2, dtype=np.float32), n=3)
    assert_exact(factors, [replace(query, excluded=np.arange(5)), replace(query, eligible=np.zeros(5, dtype=bool))])
    assert ItemIndex(np.empty((0, 2), dtype=np.float32)).search([query])[0].items.tolist() == []


def test_a_query_is_left_as_it_is() -> None:
    random = np.random.default_rng(3)
    factors = random.normal(size=(100, 4)).astype(np.float32)
    query = Query(
        vector=factors[0].copy(),
        n=5,
        excluded=np.array([3, 1, 1], dtype=np.int32),
        eligible=random.random(100) < 0.5,
        bias=random.normal(size=100).astype(np.float32),
    )
    for array in (factors, query.vector, query.excluded, query.eligible, query.bias):
        assert array is not None
        array.flags.writeable = False
    assert_exact(factors, [query])
