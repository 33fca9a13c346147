import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training import parallel
from recommender_assets.training.heads import fit_heads, with_users_of
from recommender_assets.training.parallel import map_blocks
from tests.matrices import random_matrix


def indptr_of(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@given(st.lists(st.integers(0, 50_000), max_size=40))
def test_every_row_is_in_exactly_one_block_and_results_keep_their_order(counts):
    blocks = map_blocks(indptr_of(counts), lambda start, end: (start, end))

    assert [row for start, end in blocks for row in range(start, end)] == list(range(len(counts)))
    assert all(start < end for start, end in blocks)


def test_blocks_hold_about_as_many_entries_and_never_too_many_rows():
    indptr = indptr_of([10] * 20_000 + [0] * 30_000)

    blocks = map_blocks(indptr, lambda start, end: (end - start, int(indptr[end] - indptr[start])))

    assert max(rows for rows, _ in blocks) <= 4_097
    assert max(entries for _, entries in blocks) <= 33_000


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_as_many_threads_work_as_there_are_cores(monkeypatch, threads):
    monkeypatch.setattr(parallel, "n_threads", lambda: threads)
    meeting = threading.Barrier(threads, timeout=20)
    indptr = indptr_of([32_768] * threads)

    def meet(start: int, end: int) -> str:
        meeting.wait()
        return threading.current_thread().name

    names = map_blocks(indptr, meet)

    assert len(set(names)) == threads


def test_an_error_in_a_block_is_raised(monkeypatch):
    monkeypatch.setattr(parallel, "n_threads", lambda: 2)

    def fail(start: int, end: int) -> None:
        raise ZeroDivisionError(start)

    with pytest.raises(ZeroDivisionError):
        map_blocks(indptr_of([40_000] * 5), fail)


@pytest.mark.parametrize(
    "settings",
    [
        SvdSettings(factors=5, epochs=3, ranking_iterations=3, implicit_term=True),
        NmfSettings(factors=5, iterations=3, ranking_iterations=3),
    ],
    ids=["svd", "nmf"],
)
def test_the_model_is_the_same_at_any_number_of_threads(monkeypatch, settings):
    monkeypatch.setattr(parallel, "_ENTRIES_PER_BLOCK", 50)
    monkeypatch.setattr(parallel, "_ROWS_PER_BLOCK", 10)
    matrix = random_matrix(n_users=80, n_items=40)
    models = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(parallel, "n_threads", lambda threads=threads: threads)
        heads = fit_heads(matrix.observations, matrix.n_items, settings, seed=0)
        solved = with_users_of(heads, matrix.observations)
        arrays = (solved.rating.item_factors, solved.rating.user_factors, solved.ranking.item_factors)
        models.append([array.tobytes() for array in (*arrays, solved.ranking.user_factors)])

    assert models[0] == models[1] == models[2]
