from typing import Any

import msgspec
import pytest

from recommender_serving.engine.manifest import HeadScalars, Manifest

VALID: dict[str, Any] = {"algorithm": "svd", "version": "svd-1", "created_at": "2024-01-01T00:00:00Z"}
SCALARS: dict[str, Any] = {
    "global_mean": 3.5,
    "regularization": 1.0,
    "bias_regularization": 1.0,
    "has_user_bias": True,
    "non_negative": False,
    "ranking_regularization": 1.0,
    "unobserved_weight": 0.1,
    "ranking_non_negative": False,
}


def test_a_manifest_comes_back_from_json() -> None:
    manifest = Manifest(**VALID, metrics={"rmse": 0.9}, scalars=HeadScalars(**SCALARS))
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest) == manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version must be 1"),
        ({"algorithm": "knn"}, "algorithm must be one of svd, nmf, got 'knn'"),
        ({"version": ""}, "version must not be empty"),
        ({"metrics": {"rmse": float("nan")}}, "metrics.rmse must be finite"),
    ],
)
def test_wrong_manifests_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Manifest(**(VALID | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"global_mean": float("inf")}, "global_mean must be finite"),
        ({"regularization": 0.0}, "regularization must be greater than 0"),
        ({"ranking_regularization": -1.0}, "ranking_regularization must be greater than 0"),
        ({"bias_regularization": 0.0}, "bias_regularization must be greater than 0"),
        ({"unobserved_weight": -0.1}, "unobserved_weight must not be negative"),
        ({"non_negative": True}, "exclude each other"),
    ],
)
def test_wrong_scalars_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HeadScalars(**(SCALARS | change))


def test_a_head_without_user_biases_needs_no_penalty_for_them() -> None:
    HeadScalars(**(SCALARS | {"has_user_bias": False, "bias_regularization": 0.0, "non_negative": True}))
