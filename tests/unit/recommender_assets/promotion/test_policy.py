import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.promotion.contest import UnfitChampion
from recommender_assets.promotion.policy import decide
from recommender_assets.promotion.standing import beats, beats_floor, best_floor
from recommender_assets.settings import PromotionSettings
from tests.contests import COVERAGE, FLOORS, contest, standing

POLICY = PromotionSettings()


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
    decision = decide(contest([standing(*candidate) for candidate in candidates], current), POLICY)
    assert decision.promoted == (expected is not None)
    assert decision.champion == (expected or (current.version if current else None))
    assert decision.predecessor == (current.version if current and expected else None)


def test_minimum_gain_is_needed() -> None:
    policy = PromotionSettings(minimum_gain=0.005)
    champion = standing("svd-1", 0.870)
    assert not decide(contest([standing("svd-2", 0.866)], champion), policy).promoted
    assert decide(contest([standing("svd-2", 0.864)], champion), policy).promoted


def test_a_metric_where_higher_is_better_can_decide() -> None:
    policy = PromotionSettings(metric="catalogue_ndcg_at_10", guardrails={"rmse": 0.05})
    champion = standing("svd-1", 0.89, 0.35)
    decision = decide(contest([standing("svd-2", 0.90, 0.40)], champion), policy)
    assert decision.champion == "svd-2"
    assert not decide(contest([standing("svd-2", 0.95, 0.40)], champion), policy).promoted


def test_reasons_name_the_numbers() -> None:
    decision = decide(contest([standing("svd-2", 0.88, 0.20)], standing("svd-1", 0.87, 0.35)), POLICY)
    assert "catalogue_ndcg_at_10 0.2000 does not beat its floor popularity 0.2000" in decision.reason
    decision = decide(contest([standing("svd-2", 0.88, 0.25)], standing("svd-1", 0.87, 0.35)), POLICY)
    assert "rmse 0.8800 gains -0.0100 (-0.0100 to -0.0100) on champion svd-1 (0.8700)" in decision.reason
    assert "28.6% worse than the champion's 0.3500, at most 5.0% is allowed" in decision.reason
    gain = decision.verdicts[0].gain
    assert gain is not None
    assert gain.value == pytest.approx(-0.01)


def test_lists_that_spread_no_wider_than_popular_ones_are_no_objection() -> None:
    floors = FLOORS | {COVERAGE: {"popularity": 0.31}}
    assert decide(contest([standing("svd-1", 0.87, floors=floors)]), POLICY).champion == "svd-1"


def test_an_unknown_metric_is_named() -> None:
    decision = decide(contest([standing("svd-1", 0.87)], None), PromotionSettings(metric="rsme"))
    assert decision.reason == "svd-1: rsme was not measured"


def test_only_candidates_above_their_floors_are_fit_to_deploy() -> None:
    decision = decide(contest([standing("svd-2", 0.88), standing("nmf-2", 1.2)], standing("svd-1", 0.87)), POLICY)
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
    decision = decide(contest(field, current), POLICY)
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
    assert decide(contest(field, current), POLICY).champion == decide(contest(field[::-1], current), POLICY).champion


def test_a_model_never_beats_itself() -> None:
    decision = decide(contest([standing("svd-1", 0.87)], standing("svd-1", 0.87)), POLICY)
    assert not decision.promoted
    assert decision.reason == "svd-1: is the champion already"


@pytest.mark.parametrize(("half_width", "promoted"), [(0.0, True), (0.009, True), (0.0101, False), (0.5, False)])
def test_a_gain_that_may_be_chance_is_not_enough(half_width: float, *, promoted: bool) -> None:
    held = contest([standing("svd-2", 0.86)], standing("svd-1", 0.87), half_width=half_width)
    decision = decide(held, POLICY)
    assert decision.promoted is promoted
    gain = decision.verdicts[0].gain
    assert gain is not None
    assert (gain.low, gain.high) == (pytest.approx(0.01 - half_width), pytest.approx(0.01 + half_width))


def test_without_an_interval_nothing_is_proven() -> None:
    policy = PromotionSettings(metric="catalogue_coverage_at_20", guardrails={})
    held = contest([standing("svd-2", 0.86, catalogue_coverage_at_20=0.9)], standing("svd-1", 0.87))
    assert decide(held, policy).promoted
    decision = decide(msgspec.structs.replace(held, differences=()), policy)
    assert (
        decision.reason == "svd-2: the gain in catalogue_coverage_at_20 has no interval over users, so it may be chance"
    )


@pytest.mark.parametrize(
    ("figures", "objection"),
    [
        ({"fold_in_error": 2e-5}, "fold_in_error 2e-05 is beyond its limit 1e-05"),
        ({"scoring_milliseconds": 51.0}, "scoring_milliseconds 51 is beyond its limit 50"),
        ({"fold_in_error": math.nan}, "fold_in_error was not measured"),
    ],
)
def test_limits_hold_also_for_the_first_champion(figures: dict[str, float], objection: str) -> None:
    decision = decide(contest([standing("svd-1", 0.87, **figures)]), POLICY)
    assert (decision.promoted, decision.fit_to_deploy()) == (False, {})
    assert decision.verdicts[0].objections == (objection,)
    at_the_limit = standing("svd-1", 0.87, fold_in_error=1e-5, scoring_milliseconds=50.0)
    assert decide(contest([at_the_limit]), POLICY).promoted


def test_a_limit_of_a_metric_where_higher_is_better_is_a_least_value() -> None:
    policy = PromotionSettings(limits={"catalogue_coverage_at_20": 0.25})
    assert decide(contest([standing("svd-1", 0.87)]), policy).promoted
    narrow = standing("svd-1", 0.87, catalogue_coverage_at_20=0.2)
    assert decide(contest([narrow]), policy).reason == "svd-1: catalogue_coverage_at_20 0.2 is beyond its limit 0.25"


def test_every_guardrail_counts() -> None:
    narrow = standing("svd-2", 0.80, catalogue_coverage_at_20=0.1)
    decision = decide(contest([narrow], standing("svd-1", 0.87)), POLICY)
    assert not decision.promoted
    assert "catalogue_coverage_at_20 0.1000 is 66.7% worse than the champion's 0.3000" in decision.reason
    assert set(decision.verdicts[0].changes) == set(POLICY.guardrails)


def test_what_was_rolled_back_is_neither_promoted_nor_deployed_again() -> None:
    held = contest([standing("svd-2", 0.80), standing("nmf-2", 0.86)], standing("svd-1", 0.87))
    decision = decide(held, POLICY, {"svd-2": "answers were wrong"})
    assert decision.champion == "nmf-2"
    assert decision.verdicts[0].objections == ("was rolled back: answers were wrong",)
    assert decision.fit_to_deploy() == {"nmf": "nmf-2"}


def test_a_champion_that_cannot_be_measured_loses_to_what_is_sound() -> None:
    unfit = UnfitChampion(version="svd-1", problem="titles_data.npy is missing")
    decision = decide(contest([standing("svd-2", 0.87)], unfit=unfit), POLICY)
    assert (decision.promoted, decision.champion, decision.predecessor) == (True, "svd-2", "svd-1")
    assert decision.reason == (
        "champion svd-1 cannot be measured (titles_data.npy is missing), rmse 0.8700 beats its floors"
    )
    refused = decide(contest([standing("svd-2", 1.2)], unfit=unfit), POLICY)
    assert (refused.promoted, refused.champion) == (False, "svd-1")


@pytest.mark.parametrize(
    ("metric", "value", "floor", "expected"),
    [
        ("rmse", 0.9, 0.98, True),
        ("rmse", 0.98, 0.98, False),
        ("catalogue_coverage_at_20", 1.0, 1.0, True),
        ("catalogue_coverage_at_20", 0.5, 0.5, False),
        ("rmse", 0.0, 0.0, True),
        ("rmse", 1.0, 1.0, False),
    ],
)
def test_only_a_perfect_floor_need_not_be_beaten(metric: str, value: float, floor: float, *, expected: bool) -> None:
    assert beats_floor(metric, value, floor) is expected
