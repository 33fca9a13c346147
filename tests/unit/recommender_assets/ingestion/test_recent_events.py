import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion.recent_events import population_stability_index as psi

COUNTS = st.lists(st.integers(0, 10_000), min_size=10, max_size=10)


def counts(*numbers: int) -> np.ndarray:
    return np.asarray(numbers, dtype=np.int64)


def test_psi_of_shares_that_are_known() -> None:
    p, q = (200.5 / 401, 200.5 / 401), (300.5 / 401, 100.5 / 401)
    expected = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert psi(counts(300, 100), counts(200, 200)) == pytest.approx(expected)


def test_an_empty_bin_is_no_infinity() -> None:
    assert 1 < psi(counts(1000, 0), counts(0, 1000)) < 20


@given(COUNTS, COUNTS)
def test_psi_is_symmetric_and_never_negative(left: Sequence[int], right: Sequence[int]) -> None:
    one, other = psi(counts(*left), counts(*right)), psi(counts(*right), counts(*left))
    assert one == pytest.approx(other)
    assert one >= -1e-12


@given(COUNTS, st.integers(2, 9))
def test_more_of_the_same_is_hardly_a_drift(numbers: Sequence[int], factor: int) -> None:
    many = [number + 1_000 for number in numbers]
    assert psi(counts(*many), counts(*(factor * number for number in many))) < 1e-4
