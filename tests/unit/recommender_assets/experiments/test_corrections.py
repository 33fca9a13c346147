from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from recommender_assets.experiments.corrections import holm


def test_it_agrees_with_statsmodels() -> None:
    p_values = np.random.default_rng(0).beta(0.3, 1, 12)
    names = [f"m{position}" for position in range(12)]
    adjusted = holm(dict(zip(names, p_values, strict=True)))
    assert [adjusted[name] for name in names] == pytest.approx(list(multipletests(p_values, method="holm")[1]))


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6))
def test_it_is_the_closed_test_of_bonferroni(p_values: dict[str, float]) -> None:
    groups = [group for size in range(1, len(p_values) + 1) for group in combinations(p_values, size)]
    for name, adjusted in holm(p_values).items():
        worst = max(len(group) * min(p_values[one] for one in group) for group in groups if name in group)
        assert adjusted == pytest.approx(min(1.0, worst))


def test_a_p_value_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"ctr must lie between 0 and 1, got 1\.2"):
        holm({"ctr": 1.2})
