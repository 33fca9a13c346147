import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recommender_assets.features.matrix import UserItemMatrix, matrix_directory, save_matrix
from recommender_assets.features.matrix_checks import density_is_plausible, matrix_has_no_empty_rows
from recommender_assets.settings import ChecksSettings, Settings
from recommender_serving.engine.string_table import StringTable
from tests.matrices import default_settings, events_table, matrix_from, random_matrix


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return default_settings(str(tmp_path))


def saved(settings: Settings, matrix: UserItemMatrix) -> UserItemMatrix:
    save_matrix(matrix_directory(settings.root), matrix)
    return matrix


def test_a_matrix_that_was_built_has_no_empty_row(settings: Settings) -> None:
    saved(settings, random_matrix())
    fact = matrix_has_no_empty_rows(settings)
    assert (fact.passed, fact.blocking, dict(fact.numbers)) == (True, True, {"empty_users": 0, "cold_items": 0})


def test_whoever_took_everything_back_still_has_a_row(settings: Settings) -> None:
    saved(settings, matrix_from(events_table([("u1", "i1", "rating", 4.0), ("u2", "i1", "remove", None)])))
    assert matrix_has_no_empty_rows(settings).passed


def test_a_user_without_any_event_is_found(settings: Settings) -> None:
    matrix = random_matrix(n_users=4, n_items=5)
    indptr = matrix.history.indptr.copy()
    indptr[2] = indptr[1]
    saved(settings, dataclasses.replace(matrix, history=dataclasses.replace(matrix.history, indptr=indptr)))
    fact = matrix_has_no_empty_rows(settings)
    assert (fact.passed, fact.numbers["empty_users"]) == (False, 1)


def test_an_item_without_any_event_is_counted_and_allowed(settings: Settings) -> None:
    matrix = random_matrix(n_users=4, n_items=3, density=1.0)
    saved(
        settings,
        dataclasses.replace(
            matrix,
            item_ids=StringTable.from_strings(["i0", "i1", "i2", "i3"]),
            catalogue=dataclasses.replace(
                matrix.catalogue,
                titles=StringTable.from_strings([""] * 4),
                categories=StringTable.from_strings([""] * 4),
                year=np.zeros(4, dtype=np.int16),
            ),
        ),
    )
    fact = matrix_has_no_empty_rows(settings)
    assert (fact.passed, fact.numbers["cold_items"]) == (True, 1)


def test_density_is_told_and_compared(settings: Settings) -> None:
    matrix = saved(settings, random_matrix(density=0.5))
    fact = density_is_plausible(settings)
    pairs = len(matrix.observations.item)
    assert fact.passed
    assert fact.numbers["density"] == pytest.approx(pairs / (matrix.n_users * matrix.n_items))
    assert fact.numbers["pairs_per_user"] == pytest.approx(pairs / matrix.n_users)
    strict = msgspec.structs.replace(settings, checks=ChecksSettings(density=0.9))
    assert not density_is_plausible(strict).passed
    assert "at least 0.9 is usual" in density_is_plausible(strict).reason


def test_without_a_matrix_the_facts_do_not_hold(settings: Settings) -> None:
    for check in (matrix_has_no_empty_rows, density_is_plausible):
        assert not check(settings).passed
        assert "matrix.json" in check(settings).reason
