"""What the arrays of a model file must satisfy; the same rules hold when it is written and when it is read."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.history import RATING, REMOVE
from recommender_serving.engine.string_table import StringTable

# name -> (type, shape); a letter stands for one length throughout, "users+1" for one more than "users".
LAYOUT: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "user_ids_offsets": (np.int64, ("users+1",)),
    "user_ids_data": (np.uint8, ("user_id_bytes",)),
    "item_ids_offsets": (np.int64, ("items+1",)),
    "item_ids_data": (np.uint8, ("item_id_bytes",)),
    "rating_item_bias": (np.float32, ("items",)),
    "rating_item_factors": (np.float32, ("items", "rating_factors")),
    "rating_user_bias": (np.float32, ("users",)),
    "rating_user_factors": (np.float32, ("users", "rating_factors")),
    "rating_prior": (np.float32, ("rating_factors",)),
    "rating_implicit_factors": (np.float32, ("implicit_items", "rating_factors")),  # all items or none
    "ranking_item_factors": (np.float32, ("items", "ranking_factors")),
    "ranking_user_factors": (np.float32, ("users", "ranking_factors")),
    "ranking_prior": (np.float32, ("ranking_factors",)),
    "popularity": (np.float32, ("items",)),
    "titles_offsets": (np.int64, ("items+1",)),
    "titles_data": (np.uint8, ("title_bytes",)),
    "categories_offsets": (np.int64, ("items+1",)),
    "categories_data": (np.uint8, ("category_bytes",)),
    "year": (np.int16, ("items",)),
    "history_indptr": (np.int64, ("users+1",)),
    "history_item": (np.int32, ("rows",)),
    "history_event_type": (np.int8, ("rows",)),
    "history_rating": (np.float32, ("rows",)),
    "history_timestamp_us": (np.int64, ("rows",)),
    "history_event_key": (np.int64, ("rows",)),
}
_NON_NEGATIVE_IF = {
    "rating": ("rating_item_factors", "rating_user_factors", "rating_prior"),
    "ranking": ("ranking_item_factors", "ranking_user_factors", "ranking_prior"),
}
_BLOCK_ROWS = 16_384  # small steps: a service checks a new model beside its event loop


class ModelRuleError(ValueError):
    """The arrays break a rule; the message names the array."""


def check_arrays(arrays: Mapping[str, NDArray[Any]], non_negative_heads: frozenset[str]) -> None:
    """Check types, shapes, order and values of all arrays of a model.

    Args:
        arrays: exactly the names of `LAYOUT`.
        non_negative_heads: those of `rating`, `ranking` whose factors are >= 0.

    Raises:
        ModelRuleError: naming the first array that breaks a rule.
    """
    lengths = _check_shapes(arrays)
    _check_implicit_factors(lengths, non_negative="rating" in non_negative_heads)
    for name, (dtype, _) in LAYOUT.items():
        if dtype is np.float32 and name != "history_rating":
            _require(name, _all(arrays[name], np.isfinite), "holds a number that is not finite")
    for head in sorted(non_negative_heads):
        for name in _NON_NEGATIVE_IF[head]:
            _require(name, _all(arrays[name], _not_negative), "holds a negative number in a non-negative head")
    for name in ("popularity", "year"):
        _require(name, _all(arrays[name], _not_negative), "holds a negative number")
    for name in ("user_ids", "item_ids", "titles", "categories"):
        table = StringTable(arrays[f"{name}_data"], arrays[f"{name}_offsets"])
        _require(name, (problem := table.problem()) is None, str(problem))
        if name.endswith("_ids"):
            _require(name, table.is_sorted(), "ids are not sorted by their UTF-8 bytes or not unique")
    _check_history(arrays, lengths["items"])


def _check_shapes(arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for name, (dtype, shape) in LAYOUT.items():
        array = arrays[name]
        _require(name, array.dtype == np.dtype(dtype), f"expected {np.dtype(dtype)}, got {array.dtype}")
        _require(name, array.ndim == len(shape), f"expected {len(shape)} dimensions, got {array.ndim}")
        for symbol, found in zip(shape, array.shape, strict=True):
            length = found - symbol.endswith("+1")
            expected = lengths.setdefault(symbol.removesuffix("+1"), length)
            _require(
                name, length == expected and length >= 0, f"has shape {array.shape}, expected {symbol} = {expected}"
            )
    return lengths


def _check_implicit_factors(lengths: Mapping[str, int], *, non_negative: bool) -> None:
    rows, items = lengths["implicit_items"], lengths["items"]
    _require("rating_implicit_factors", rows in {0, items}, f"has {rows} rows, expected 0 or items = {items}")
    _require("rating_implicit_factors", not (rows and non_negative), "must be empty in a non-negative head")


def _check_history(arrays: Mapping[str, NDArray[Any]], n_items: int) -> None:
    indptr, item = arrays["history_indptr"], arrays["history_item"]
    event_type, rating = arrays["history_event_type"], arrays["history_rating"]
    ascends = indptr[0] == 0 and indptr[-1] == len(item) and not np.any(indptr[1:] < indptr[:-1])
    _require("history_indptr", bool(ascends), f"does not ascend from 0 to the {len(item)} rows")
    first_of_user = np.zeros(len(item) + 1, dtype=bool)
    first_of_user[indptr] = True
    for rows in _blocks(len(item)):
        items, types = item[rows], event_type[rows]
        _require("history_item", not len(items) or (items.min() >= 0 and items.max() < n_items), "is out of range")
        _require("history_event_type", bool(np.all((types >= 0) & (types <= REMOVE))), "is out of range")
        rated = np.isfinite(rating[rows])
        _require("history_rating", bool(np.all(rated == (types == RATING))), "is not finite exactly where rated")
        # One row of overlap compares neighbours across blocks.
        following = slice(rows.start + 1, min(rows.stop + 1, len(item)))
        key = (
            item[rows.start : following.stop].astype(np.int64) * (REMOVE + 1) + event_type[rows.start : following.stop]
        )
        _require("history_item", bool(np.all((key[1:] > key[:-1]) | first_of_user[following])), "is not in order")


def _all(array: NDArray[Any], holds: Any) -> bool:
    return all(bool(holds(array[rows]).all()) for rows in _blocks(len(array)))


def _not_negative(array: NDArray[Any]) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.greater_equal(array, 0)
    return result


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK_ROWS, n)) for start in range(0, n, _BLOCK_ROWS))


def _require(name: str, condition: bool, problem: str) -> None:  # noqa: FBT001
    if not condition:
        raise ModelRuleError(f"{name}: {problem}")
