import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recommender_assets.features.feature_checks import features_are_finite, reduction_explains_the_hold_out
from recommender_assets.features.matrix import UserItemMatrix, matrix_directory, save_matrix
from recommender_assets.features.reduction import (
    ReducedFeatures,
    ReducedTable,
    features_directory,
    load_features,
    load_figures,
    save_features,
)
from recommender_assets.settings import ChecksSettings, Settings
from tests.matrices import default_settings, random_matrix


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return default_settings(str(tmp_path))


@pytest.fixture
def matrix(settings: Settings) -> UserItemMatrix:
    matrix = random_matrix()
    save_matrix(matrix_directory(settings.root), matrix)
    return matrix


def table(rows: int, r2: float = 0.9) -> ReducedTable:
    values = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    return ReducedTable(values, 7, {"a": 0.2, "b": 0.1, "c": 0.1}, (0.6, 0.4), r2)


def save(settings: Settings, matrix: UserItemMatrix, user: ReducedTable, item: ReducedTable) -> None:
    save_features(features_directory(settings.root), matrix, ReducedFeatures(user, item))


def test_what_was_saved_reads_back(settings: Settings, matrix: UserItemMatrix) -> None:
    user, item = table(matrix.n_users), table(matrix.n_items, float("nan"))
    save(settings, matrix, user, item)
    directory = features_directory(settings.root)
    np.testing.assert_array_equal(load_features(directory, "user"), user.values)
    np.testing.assert_array_equal(load_features(directory, "item"), item.values)
    figures = load_figures(directory)
    assert [msgspec.structs.astuple(figures[name]) for name in ("user", "item")] == [(7, 3, 2, 0.9), (7, 3, 2, None)]


def test_no_component_is_no_column(settings: Settings, matrix: UserItemMatrix) -> None:
    none = dataclasses.replace(table(matrix.n_items), values=np.empty((matrix.n_items, 0), np.float32))
    save(settings, matrix, table(matrix.n_users), none)
    assert load_features(features_directory(settings.root), "item").shape == (matrix.n_items, 0)
    assert features_are_finite(settings).passed


def test_a_reduction_that_explains_too_little_is_named(settings: Settings, matrix: UserItemMatrix) -> None:
    save(settings, matrix, table(matrix.n_users, 0.71), table(matrix.n_items, 0.7))
    fact = reduction_explains_the_hold_out(settings)
    assert (fact.passed, dict(fact.numbers)) == (True, {"user_r2": 0.71, "item_r2": 0.7})
    strict = msgspec.structs.replace(settings, checks=ChecksSettings(explained_r2=0.705))
    assert reduction_explains_the_hold_out(strict).reason == "item features: R2 0.7, at least 0.705 is usual"


def test_an_r2_that_could_not_be_measured_is_no_reason(settings: Settings, matrix: UserItemMatrix) -> None:
    save(settings, matrix, table(matrix.n_users), table(matrix.n_items, float("nan")))
    fact = reduction_explains_the_hold_out(settings)
    assert (fact.passed, set(fact.numbers)) == (True, {"user_r2"})


def test_numbers_that_are_not_finite_are_counted(settings: Settings, matrix: UserItemMatrix) -> None:
    user = table(matrix.n_users)
    user.values[3, 1], user.values[4, 0] = np.nan, np.inf
    save(settings, matrix, user, table(matrix.n_items))
    assert features_are_finite(settings).reason == "2 user features are not finite"


def test_features_of_another_matrix_are_found(settings: Settings, matrix: UserItemMatrix) -> None:
    save(settings, matrix, table(matrix.n_users), table(matrix.n_items))
    save_matrix(matrix_directory(settings.root), random_matrix(n_users=40))
    assert features_are_finite(settings).reason == "30 rows of user features, the matrix has 40"


def test_nothing_blocks_and_what_is_missing_is_said(settings: Settings) -> None:
    for check in (features_are_finite, reduction_explains_the_hold_out):
        fact = check(settings)
        assert (fact.passed, fact.blocking) == (False, False)
        assert "No such file" in fact.reason
