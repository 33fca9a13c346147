from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recommender_serving.engine.factor_model import _arrays_of
from recommender_serving.engine.model_rules import _NON_NEGATIVE_IF, LAYOUT, ModelRuleError, check_arrays
from tests.factories import make_model

Arrays = dict[str, NDArray[Any]]
BOTH = frozenset({"rating", "ranking"})


def arrays_of(algorithm: str) -> Arrays:
    return {name: array.copy() for name, array in _arrays_of(make_model(algorithm)).items()}


def put(name: str, place: Any, value: float) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[name][place] = value

    return change


def swap_rows(arrays: Arrays) -> None:
    for name in ("history_item", "history_event_type", "history_rating"):
        arrays[name][[0, 1]] = arrays[name][[1, 0]]


def swap_ids(arrays: Arrays) -> None:
    arrays["user_ids_data"][:4] = np.frombuffer(b"u1u0", dtype=np.uint8)


def repeat_row(arrays: Arrays) -> None:
    for name in ("history_item", "history_event_type", "history_rating"):
        arrays[name][1] = arrays[name][0]


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_valid_model_passes(algorithm: str) -> None:
    arrays = arrays_of(algorithm)
    assert arrays.keys() == LAYOUT.keys()
    check_arrays(arrays, BOTH if algorithm == "nmf" else frozenset())


@pytest.mark.parametrize("block_rows", [1, 2, 3, 7])
def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch, block_rows: int) -> None:
    monkeypatch.setattr("recommender_serving.engine.model_rules._BLOCK_ROWS", block_rows)
    check_arrays(arrays_of("svd"), frozenset())
    for change in (swap_rows, repeat_row):
        arrays = arrays_of("svd")
        change(arrays)
        with pytest.raises(ModelRuleError, match="history_item: is not in order"):
            check_arrays(arrays, frozenset())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((put(n, ..., np.nan), f"{n}: holds a number that is not finite") for n in LAYOUT if "factors" in n),
        (put("rating_item_bias", -1, np.inf), "rating_item_bias: holds a number that is not finite"),
        (put("ranking_prior", 0, np.nan), "ranking_prior: holds a number that is not finite"),
        (put("popularity", 3, -1), "popularity: holds a negative number"),
        (put("year", 3, -1), "year: holds a negative number"),
        (put("user_ids_data", 0, 0xFF), "user_ids: data is not UTF-8"),
        (put("titles_offsets", 1, 10_000), "titles: offsets do not ascend"),
        (put("categories_offsets", 0, 1), "categories: offsets do not ascend"),
        (swap_ids, "user_ids: ids are not sorted"),
        (put("history_indptr", 1, 10_000), "history_indptr: does not ascend"),
        (put("history_indptr", 0, 1), "history_indptr: does not ascend"),
        (put("history_item", -1, 12), "history_item: is out of range"),
        (put("history_item", 0, -1), "history_item: is out of range"),
        (put("history_event_type", 0, 5), "history_event_type: is out of range"),
        (put("history_event_type", 0, -1), "history_event_type: is out of range"),
        (put("history_rating", ..., np.nan), "history_rating: is not finite exactly where rated"),
        (put("history_rating", ..., 3.0), "history_rating: is not finite exactly where rated"),
        (swap_rows, "history_item: is not in order"),
        (repeat_row, "history_item: is not in order"),
    ],
)
def test_a_broken_rule_is_named(change: Callable[[Arrays], None], message: str) -> None:
    arrays = arrays_of("svd")
    change(arrays)
    with pytest.raises(ModelRuleError, match=message):
        check_arrays(arrays, frozenset())


@pytest.mark.parametrize("name", [*_NON_NEGATIVE_IF["rating"], *_NON_NEGATIVE_IF["ranking"]])
def test_non_negative_heads_hold_no_negative_number(name: str) -> None:
    arrays = arrays_of("nmf")
    arrays[name].flat[-1] = -1e-6
    check_arrays(arrays, BOTH - {name.split("_", maxsplit=1)[0]})
    with pytest.raises(ModelRuleError, match=f"{name}: holds a negative number in a non-negative head"):
        check_arrays(arrays, BOTH)


def test_implicit_factors_are_for_all_items_or_for_none() -> None:
    arrays = arrays_of("svd")
    whole = arrays["rating_implicit_factors"]
    arrays["rating_implicit_factors"] = whole[:0]
    check_arrays(arrays, frozenset())
    arrays["rating_implicit_factors"] = whole[:-1]
    with pytest.raises(ModelRuleError, match="rating_implicit_factors: has 11 rows, expected 0 or items = 12"):
        check_arrays(arrays, frozenset())
    arrays["rating_implicit_factors"] = whole[:, :-1]
    with pytest.raises(ModelRuleError, match=r"rating_implicit_factors: has shape \(12, 3\)"):
        check_arrays(arrays, frozenset())


def test_a_non_negative_head_has_no_implicit_factors() -> None:
    arrays = arrays_of("nmf")
    arrays["rating_implicit_factors"] = np.zeros((12, 4), dtype=np.float32)
    with pytest.raises(ModelRuleError, match="rating_implicit_factors: must be empty in a non-negative head"):
        check_arrays(arrays, BOTH)


def test_shapes_belong_together() -> None:
    arrays = arrays_of("svd")
    arrays["ranking_user_factors"] = arrays["ranking_user_factors"][:, :-1]
    with pytest.raises(ModelRuleError, match=r"ranking_user_factors: has shape \(6, 3\)"):
        check_arrays(arrays, frozenset())
    arrays = arrays_of("svd")
    arrays["rating_prior"] = arrays["rating_prior"][None]
    with pytest.raises(ModelRuleError, match="rating_prior: expected 1 dimensions, got 2"):
        check_arrays(arrays, frozenset())
