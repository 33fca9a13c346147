import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.promotion.policy import Standing, beats, best_floor, decide
from recommender_assets.settings import PromotionSettings

POLICY = PromotionSettings()
FLOORS = {
    "rmse": {"item_mean": 0.98, "global_mean": 1.05},
    "catalogue_ndcg_at_10": {"popularity": 0.20, "random": 0.01},
}


def standing(version: str, rmse: float, ndcg: float = 0.35, floors: dict[str, dict[str, float]] = FLOORS) -> Standing:
    metrics = {"rmse": rmse, "catalogue_ndcg_at_10": ndcg}
    return Standing(version=version, algorithm=version.split("-", maxsplit=1)[0], metrics=metrics, floors=floors)


@pytest.mark.parametrize(
    ("candidates", "champion", "expected"),
    [
        pytest.param([("svd-1", 0.87, 0.35), ("nmf-1", 0.91, 0.33)], None, "svd-1", id="first champion is the best"),
        pytest.param([("svd-1", 0.91, 0.35), ("nmf-1", 0.87, 0.33)], None, "nmf-1", id="either algorithm may win"),
        pytest.param([("svd-1", 0.99, 0.35)], None, None, id="worse than the item mean"),
        pytest.param([("svd-1", 0.98, 0.35)], None, None, id="equal to a floor is not better"),
        pytest.param([("svd-1", 0.87, 0.19)], None, None, id="guardrail worse than popularity"),
        pytest.param([("svd-1", math.nan, 0.35)], None, None, id="not measured"),
        pytest.param([("svd-2", 0.86, 0.35)], ("svd-1", 0.87, 0.35), "svd-2", id="better"),
        pytest.param([("svd-2", 0.87, 0.40)], ("svd-1", 0.87, 0.35), None, id="equal is not better"),
        pytest.param([("svd-2", 0.86, 0.3325)], ("svd-1", 0.87, 0.35), "svd-2", id="guardrail falls by the limit"),
        pytest.param([("svd-2", 0.86, 0.3300)], ("svd-1", 0.87, 0.35), None, id="guardrail falls further"),
        pytest.param(
            [("svd-2", 0.85, 0.30), ("nmf-2", 0.86, 0.35)],
            ("svd-1", 0.87, 0.35),
            "nmf-2",
            id="best keeping the guard",
        ),
        pytest.param([], None, None, id="nobody"),
    ],
)
def test_who_becomes_champion(
    candidates: list[tuple[str, float, float]], champion: tuple[str, float, float] | None, expected: str | None
) -> None:
    current = standing(*champion) if champion else None
    decision = decide([standing(*candidate) for candidate in candidates], current, POLICY)
    assert decision.promoted == (expected is not None)
    assert decision.champion == (expected or (current.version if current else None))
    assert decision.predecessor == (current.version if current and expected else None)


def test_minimum_gain_is_needed() -> None:
    policy = PromotionSettings(minimum_gain=0.005)
    champion = standing("svd-1", 0.870)
    assert not decide([standing("svd-2", 0.866)], champion, policy).promoted
    assert decide([standing("svd-2", 0.864)], champion, policy).promoted


def test_a_metric_where_higher_is_better_can_decide() -> None:
    policy = PromotionSettings(metric="catalogue_ndcg_at_10", guardrail="rmse")
    decision = decide([standing("svd-2", 0.90, 0.40)], standing("svd-1", 0.89, 0.35), policy)
    assert decision.champion == "svd-2"
    assert not decide([standing("svd-2", 0.95, 0.40)], standing("svd-1", 0.89, 0.35), policy).promoted


def test_reasons_name_the_numbers() -> None:
    decision = decide([standing("svd-2", 0.88, 0.20)], standing("svd-1", 0.87, 0.35), POLICY)
    assert "catalogue_ndcg_at_10 0.2000 does not beat its floor popularity 0.2000" in decision.reason
    decision = decide([standing("svd-2", 0.88, 0.25)], standing("svd-1", 0.87, 0.35), POLICY)
    assert "rmse 0.8800 gains -0.0100 on champion svd-1 (0.8700)" in decision.reason
    assert "28.6% worse than the champion's 0.3500, at most 5.0% is allowed" in decision.reason
    assert decision.verdicts[0].gain == pytest.approx(-0.01)


def test_an_unknown_metric_is_named() -> None:
    decision = decide([standing("svd-1", 0.87)], None, PromotionSettings(metric="rsme"))
    assert decision.reason == "svd-1: rsme was not measured"


def test_only_candidates_above_their_floors_are_fit_to_deploy() -> None:
    decision = decide([standing("svd-2", 0.88), standing("nmf-2", 1.2)], standing("svd-1", 0.87), POLICY)
    assert decision.fit_to_deploy() == {"svd": "svd-2"}


def test_best_floor_depends_on_the_direction() -> None:
    candidate = standing("svd-1", 0.9)
    assert best_floor(candidate, "rmse") == ("item_mean", 0.98)
    assert best_floor(candidate, "catalogue_ndcg_at_10") == ("popularity", 0.20)
    assert best_floor(candidate, "user_coverage") is None


figure = st.floats(0.01, 2.0)
contenders = st.lists(st.tuples(figure, figure), min_size=1, max_size=4)


@given(candidates=contenders, champion=st.one_of(st.none(), st.tuples(figure, figure)))
def test_a_promotion_always_obeys_the_policy(
    candidates: list[tuple[float, float]], champion: tuple[float, float] | None
) -> None:
    field = [standing(f"svd-{i}", *figures) for i, figures in enumerate(candidates)]
    current = standing("svd-champion", *champion) if champion else None
    decision = decide(field, current, POLICY)
    fit = [
        c
        for c in field
        if beats("rmse", c.metrics["rmse"], 0.98)
        and beats("catalogue_ndcg_at_10", c.metrics["catalogue_ndcg_at_10"], 0.20)
        and (
            current is None
            or (
                c.metrics["rmse"] < current.metrics["rmse"]
                and c.metrics["catalogue_ndcg_at_10"] >= (0.95 - 1e-9) * current.metrics["catalogue_ndcg_at_10"]
            )
        )
    ]
    assert decision.promoted == bool(fit)
    if fit:
        winner = next(c for c in field if c.version == decision.champion)
        assert winner.metrics["rmse"] == min(c.metrics["rmse"] for c in fit)


@given(candidates=contenders, champion=st.tuples(figure, figure))
def test_order_of_candidates_does_not_matter(
    candidates: list[tuple[float, float]], champion: tuple[float, float]
) -> None:
    field = [standing(f"svd-{i}", *figures) for i, figures in enumerate(candidates)]
    current = standing("svd-champion", *champion)
    assert decide(field, current, POLICY).champion == decide(field[::-1], current, POLICY).champion


def test_a_model_never_beats_itself() -> None:
    assert not decide([standing("svd-1", 0.87)], standing("svd-1", 0.87), POLICY).promoted
