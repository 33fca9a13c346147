from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recommender_serving.engine.assignment import Assigner, UniformHash
from recommender_serving.engine.experiment_definition import ExclusionSlice, ExperimentDefinition, Variant

SVD, NMF = Variant(algorithm="svd"), Variant(algorithm="nmf")


def experiment(name: str = "one", **changes: object) -> ExperimentDefinition:
    return ExperimentDefinition(name=name, variants={"control": SVD, "treatment": NMF}, **changes)  # type: ignore[arg-type]


def arms(assigner: Assigner, users: range) -> list[str | None]:
    found = (assigner.assign(str(user)) for user in users)
    return [assignment.variant if assignment else None for assignment in found]


def test_a_million_users_split_as_planned_and_independently_of_another_experiment() -> None:
    one, other = Assigner(experiment("one")), Assigner(experiment("other"))
    table: Counter[tuple[str, str]] = Counter()
    for user in range(1_000_000):
        a, b = one.assign(str(user)), other.assign(str(user))
        assert a is not None
        assert b is not None
        table[a.variant, b.variant] += 1
    counts = np.array([[table[a, b] for b in ("control", "treatment")] for a in ("control", "treatment")])
    assert stats.chisquare(counts.sum(axis=1)).pvalue > 0.001
    assert stats.chi2_contingency(counts, correction=False).pvalue > 0.001


@given(st.text(min_size=1, max_size=40))
def test_it_is_sticky(user: str) -> None:
    assert Assigner(experiment()).assign(user) == Assigner(experiment()).assign(user)


def test_known_users_stay_where_they_are_in_every_release() -> None:
    of_treatment = [user for user, arm in enumerate(arms(Assigner(experiment()), range(8))) if arm == "treatment"]
    assert of_treatment == [0, 1, 2, 4]


def test_raising_the_traffic_share_moves_nobody() -> None:
    few, many = (arms(Assigner(experiment(traffic_share=share)), range(20_000)) for share in (0.1, 0.6))
    assert all(before is None or before == after for before, after in zip(few, many, strict=True))
    assert sum(arm is not None for arm in few) == pytest.approx(2_000, abs=150)
    assert sum(arm is not None for arm in many) == pytest.approx(12_000, abs=300)


def test_taking_part_says_nothing_about_the_arm() -> None:
    taking_part = Counter(arms(Assigner(experiment(traffic_share=0.2)), range(50_000)))
    assert stats.chisquare([taking_part["control"], taking_part["treatment"]]).pvalue > 0.001


def test_weights_are_kept() -> None:
    definition = ExperimentDefinition(
        name="weighted", variants={"control": Variant(algorithm="svd", weight=3), "b": NMF, "c": NMF}
    )
    counts = Counter(arms(Assigner(definition), range(50_000)))
    assert stats.chisquare([counts["control"], counts["b"], counts["c"]], [30_000, 10_000, 10_000]).pvalue > 0.001


def test_experiments_of_one_group_share_no_user_and_fill_their_slices() -> None:
    one = Assigner(experiment("one", slice=ExclusionSlice(group="home", start=0, end=0.5)))
    other = Assigner(experiment("other", slice=ExclusionSlice(group="home", start=0.5, end=1)))
    both = list(zip(arms(one, range(20_000)), arms(other, range(20_000)), strict=True))
    assert all((a is None) != (b is None) for a, b in both)
    assert sum(a is not None for a, _ in both) == pytest.approx(10_000, abs=300)


def test_forced_users_see_their_variant_even_without_traffic() -> None:
    assigner = Assigner(experiment(traffic_share=0.0, forced={"me": "treatment"}))
    assert assigner.assign("someone") is None
    mine = assigner.assign("me")
    assert mine is not None
    assert (mine.variant, mine.forced) == ("treatment", True)


def test_the_two_numbers_of_a_user_are_uniform_and_independent() -> None:
    numbers = np.array([UniformHash("salt")(str(user)) for user in range(20_000)])
    for column in numbers.T:
        assert stats.kstest(column, "uniform").pvalue > 0.001
    assert abs(stats.pearsonr(numbers[:, 0], numbers[:, 1]).statistic) < 0.025
