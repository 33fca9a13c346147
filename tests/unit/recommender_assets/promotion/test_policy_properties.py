import math

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recommender_assets.promotion.policy import Verdict, decide
from recommender_assets.promotion.standing import LOWER_IS_BETTER, Standing, beats, best_floor
from recommender_assets.settings import PromotionSettings
from tests.contests import NDCG, RMSE, SERVING, contest

figure = st.floats(0.01, 2.0)
limit = st.floats(0.01, 0.5)
not_finite = st.sampled_from([math.nan, math.inf, -math.inf])
policies = st.builds(
    PromotionSettings,
    metric=st.sampled_from([RMSE, NDCG]),
    guardrails=st.dictionaries(st.sampled_from([RMSE, NDCG]), limit),
    minimum_gain=st.floats(0, 0.3),
)
half_width = st.floats(0, 0.5)


def model(version: str, rmse: float, ndcg: float, floors: dict[str, dict[str, float]] | None = None) -> Standing:
    metrics = {RMSE: rmse, NDCG: ndcg} | SERVING
    return Standing(version=version, algorithm=version[:3], metrics=metrics, floors=floors or {})


def better_by(metric: str, value: float, amount: float) -> float:
    return value - amount if metric in LOWER_IS_BETTER else value + amount


@given(champion=st.tuples(figure, figure), loss=st.floats(0, 1), guardrail=figure, policy=policies)
def test_a_candidate_that_is_not_better_is_never_promoted(
    champion: tuple[float, float], loss: float, guardrail: float, policy: PromotionSettings
) -> None:
    current = model("svd-1", *champion)
    worse = better_by(policy.metric, current.metrics[policy.metric], -loss)
    metrics = {RMSE: guardrail, NDCG: guardrail} | SERVING | {policy.metric: worse}
    candidate = Standing(version="svd-2", algorithm="svd", metrics=metrics)
    decision = decide(contest([candidate], current), policy)
    assert (decision.promoted, decision.champion, decision.predecessor) == (False, "svd-1", None)
    assert decision.verdicts[0].objections


@given(candidate=st.tuples(figure, figure), champion=st.tuples(figure, figure), policy=policies)
def test_two_models_cannot_replace_each_other_in_turn(
    candidate: tuple[float, float], champion: tuple[float, float], policy: PromotionSettings
) -> None:
    one, other = model("svd-1", *candidate), model("svd-2", *champion)
    assert not (decide(contest([one], other), policy).promoted and decide(contest([other], one), policy).promoted)


@given(candidate=st.tuples(figure, figure), champion=st.tuples(figure, figure), policy=policies)
def test_the_winner_measured_again_as_champion_stays(
    candidate: tuple[float, float], champion: tuple[float, float], policy: PromotionSettings
) -> None:
    field = [model("svd-2", *candidate)]
    first = decide(contest(field, model("svd-1", *champion)), policy)
    assert decide(contest(field, model("svd-1", *champion)), policy) == first
    assume(first.promoted)
    again = decide(contest(field, field[0]), policy)
    assert (again.promoted, again.champion) == (False, "svd-2")


@given(bad=not_finite, metric=st.sampled_from([RMSE, NDCG]), first=st.booleans())
def test_a_figure_that_is_not_finite_never_wins(bad: float, metric: str, *, first: bool) -> None:
    broken = model("svd-2", 0.1, 0.9)
    broken.metrics[metric] = bad
    sound = model("nmf-2", 0.8, 0.4)
    champion = None if first else model("svd-1", 0.9, 0.4)
    decision = decide(contest([broken, sound], champion), PromotionSettings())
    assert decision.champion == "nmf-2"
    assert decision.verdicts[0].objections == (f"{metric} was not measured",)
    assert decision.fit_to_deploy() == {"nmf": "nmf-2"}
    assert not decide(contest([broken], champion), PromotionSettings()).promoted


@pytest.mark.parametrize("metric", [RMSE, NDCG])
@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
def test_a_champion_that_was_not_measured_is_not_replaced_unseen(metric: str, bad: float | None) -> None:
    champion = model("svd-1", 0.9, 0.3)
    if bad is None:
        del champion.metrics[metric]
    else:
        champion.metrics[metric] = bad
    decision = decide(contest([model("svd-2", 0.8, 0.4)], champion), PromotionSettings())
    assert (decision.promoted, decision.champion) == (False, "svd-1")
    assert decision.reason == f"svd-2: {metric} of champion svd-1 was not measured"
    (verdict,) = decision.verdicts
    assert (verdict.is_sound, verdict.gain, verdict.changes) == (True, None, {})


@given(guard=figure, drop=limit)
def test_the_guardrail_may_fall_exactly_to_its_limit(guard: float, drop: float) -> None:
    policy = PromotionSettings(guardrails={NDCG: drop})
    champion = model("svd-1", 0.9, guard)
    assert decide(contest([model("svd-2", 0.8, guard * (1 - drop))], champion), policy).promoted
    beyond = decide(contest([model("svd-2", 0.8, guard * (1 - drop - 1e-6))], champion), policy)
    assert not beyond.promoted
    assert beyond.verdicts[0].changes[NDCG] == pytest.approx(-drop, abs=2e-6)


@given(guard=figure, drop=limit)
def test_a_guardrail_where_lower_is_better_may_rise_exactly_to_its_limit(guard: float, drop: float) -> None:
    policy = PromotionSettings(metric=NDCG, guardrails={RMSE: drop})
    champion = model("svd-1", guard, 0.3)
    assert decide(contest([model("svd-2", guard * (1 + drop), 0.4)], champion), policy).promoted
    assert not decide(contest([model("svd-2", guard * (1 + drop + 1e-6), 0.4)], champion), policy).promoted


@pytest.mark.parametrize(
    ("candidate", "promoted"), [(0.0, True), (0.1, True)], ids=["nothing to lose", "something gained"]
)
def test_a_guardrail_of_zero_divides_nothing(candidate: float, *, promoted: bool) -> None:
    decision = decide(contest([model("svd-2", 0.8, candidate)], model("svd-1", 0.9, 0.0)), PromotionSettings())
    assert decision.promoted is promoted
    assert all(math.isfinite(change) for change in decision.verdicts[0].changes.values())


@pytest.mark.parametrize("metric", [RMSE, NDCG])
@pytest.mark.parametrize(("gain", "promoted"), [(0.125, False), (0.125 + 2**-20, True), (0.0, False), (-0.125, False)])
def test_the_gain_must_exceed_the_minimum(metric: str, gain: float, *, promoted: bool) -> None:
    policy = PromotionSettings(metric=metric, guardrails={metric: 0.05}, minimum_gain=0.125)
    champion = model("svd-1", 0.5, 0.5)
    candidate = model("svd-2", 0.5, 0.5)
    candidate.metrics[metric] = better_by(metric, 0.5, gain)
    decision = decide(contest([candidate], champion), policy)
    assert decision.promoted is promoted
    found = decision.verdicts[0].gain
    assert found is not None
    assert (found.low, found.value, found.high) == (gain, gain, gain)


@given(rmse=figure, ndcg=figure, names=st.permutations(["nmf-1", "svd-1", "svd-2"]))
def test_a_tie_goes_to_the_first_name(rmse: float, ndcg: float, names: list[str]) -> None:
    assert decide(contest([model(name, rmse, ndcg) for name in names]), PromotionSettings()).champion == "nmf-1"


def test_one_metric_for_both_roles_is_objected_to_once() -> None:
    policy = PromotionSettings(metric=RMSE, guardrails={RMSE: 0.05})
    below = model("svd-1", 1.2, 0.3, {"rmse": {"item_mean": 1.0}})
    assert decide(contest([below]), policy).verdicts[0].objections == (
        "rmse 1.2000 does not beat its floor item_mean 1.0000",
    )


@given(value=st.floats(allow_nan=True), other=figure, metric=st.sampled_from([RMSE, NDCG]))
def test_better_is_strict_and_one_sided(value: float, other: float, metric: str) -> None:
    assert not (beats(metric, value, other) and beats(metric, other, value))
    if math.isfinite(value) and value != other:
        assert beats(metric, value, other) != beats(metric, other, value)
    else:
        assert not beats(metric, value, other)


@given(floors=st.dictionaries(st.text("abc", min_size=1), figure, min_size=1), metric=st.sampled_from([RMSE, NDCG]))
def test_who_beats_the_best_floor_beats_every_floor(floors: dict[str, float], metric: str) -> None:
    standing = model("svd-1", 1.0, 1.0, {metric: floors})
    hardest = best_floor(standing, metric)
    assert hardest is not None
    assert floors[hardest[0]] == hardest[1]
    assert all(beats(metric, better_by(metric, hardest[1], 1e-6), floor) for floor in floors.values())
    assert not beats(metric, hardest[1], hardest[1])


def test_what_misses_its_floors_is_neither_promoted_nor_deployed_nor_compared() -> None:
    floors = {"rmse": {"item_mean": 0.85}}
    decision = decide(contest([model("svd-2", 0.86, 0.4, floors)], model("svd-1", 0.9, 0.3)), PromotionSettings())
    expected = Verdict(
        version="svd-2",
        algorithm="svd",
        is_sound=False,
        objections=("rmse 0.8600 does not beat its floor item_mean 0.8500",),
    )
    assert decision.verdicts == (expected,)
    assert decision.fit_to_deploy() == {}


def test_reasons_say_who_won_over_whom() -> None:
    first = decide(contest([model("svd-1", 0.9, 0.3)]), PromotionSettings())
    assert first.reason == "first champion, beats its floors: rmse 0.9000"
    second = decide(contest([model("svd-2", 0.8, 0.3)], model("svd-1", 0.9, 0.3)), PromotionSettings())
    assert second.reason == "rmse 0.8000 beats champion svd-1 (0.9000) by +0.1000 (+0.1000 to +0.1000)"
    assert decide(contest([]), PromotionSettings()).reason == "no candidate"


@given(candidate=st.tuples(figure, figure), champion=st.tuples(figure, figure), policy=policies, half_width=half_width)
def test_a_promotion_over_a_champion_is_surely_a_gain_and_keeps_every_guardrail(
    candidate: tuple[float, float], champion: tuple[float, float], policy: PromotionSettings, half_width: float
) -> None:
    held = contest([model("svd-2", *candidate)], model("svd-1", *champion), half_width=half_width)
    decision = decide(held, policy)
    (verdict,) = decision.verdicts
    assert verdict.gain is not None
    assert decision.promoted == (
        verdict.gain.low > policy.minimum_gain
        and all(verdict.changes[metric] >= -fall - 1e-9 for metric, fall in policy.guardrails.items())
    )


@given(candidate=st.tuples(figure, figure), champion=st.tuples(figure, figure), metric=st.sampled_from([RMSE, NDCG]))
def test_the_gain_does_not_depend_on_the_order_of_the_difference(
    candidate: tuple[float, float], champion: tuple[float, float], metric: str
) -> None:
    one, other = model("svd-2", *candidate), model("svd-1", *champion)
    forwards = contest([one], other, half_width=0.1)
    (difference,) = forwards.differences
    backwards = contest([other], one, half_width=0.1).differences
    found = msgspec.structs.replace(forwards, differences=backwards).gain("svd-2", metric)
    expected = forwards.gain("svd-2", metric)
    assert found is not None
    assert expected is not None
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert expected.low <= expected.value <= expected.high
    assert (expected.value > 0) == beats(metric, one.metrics[metric], other.metrics[metric])
    assert difference.left == "svd-2"
