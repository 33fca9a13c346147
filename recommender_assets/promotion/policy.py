"""The promotion policy: which candidate, if any, replaces the champion, and why."""

import math
from collections.abc import Iterator, Mapping

import msgspec

from recommender_assets.evaluation.interval import Interval
from recommender_assets.promotion.contest import Contest
from recommender_assets.promotion.standing import Standing, beats_floor, best_floor, goodness
from recommender_assets.settings import PromotionSettings

_ROUNDING = 1e-9  # a fall by exactly the limit is allowed

_SPREAD = frozenset({"catalogue_coverage_at_20", "catalogue_gini_at_20", "catalogue_novelty_at_20"})
"""Not quality: over a small catalogue, popular lists spread as widely as any, so a floor of them says nothing."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy says about one candidate.

    Attributes:
        objections: why it may not become champion; empty if it may.
        gain: improvement of the primary metric over the champion (positive is better), None if not compared.
        changes: guardrail metric -> relative change against the champion (positive is better), likewise.
        is_sound: it beats its floors, keeps the limits and was not rolled back, so it may be deployed.
    """

    version: str
    algorithm: str
    is_sound: bool
    objections: tuple[str, ...] = ()
    gain: Interval | None = None
    changes: dict[str, float] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: the champion from now on (None if there is still none) and the verdict on each candidate."""

    promoted: bool
    champion: str | None
    predecessor: str | None
    reason: str
    verdicts: tuple[Verdict, ...]

    def fit_to_deploy(self) -> dict[str, str]:
        """Version by algorithm of the sound candidates."""
        return {verdict.algorithm: verdict.version for verdict in self.verdicts if verdict.is_sound}


def decide(contest: Contest, policy: PromotionSettings, rolled_back: Mapping[str, str] | None = None) -> Decision:
    """Compare the candidates with the champion on the same hold-out.

    A candidate may become champion if its primary metric and its guardrails beat their floors, if it keeps every
    absolute limit and was not rolled back before, and, where there is a champion, if the whole paired interval of its
    gain in the primary metric lies above `policy.minimum_gain` and no guardrail falls by more than its share. A
    champion that cannot be measured loses against any candidate that is sound. The best by the primary metric wins.

    Args:
        contest: the figures.
        policy: section `promotion` of the configuration.
        rolled_back: version -> why it was rolled back.
    """
    verdicts = tuple(_judge(candidate, contest, policy, rolled_back or {}) for candidate in contest.candidates)
    passed = {verdict.version for verdict in verdicts if not verdict.objections}
    ranked = sorted(
        (candidate for candidate in contest.candidates if candidate.version in passed),
        key=lambda c: (-goodness(policy.metric, c.metrics[policy.metric]), c.version),
    )
    current = contest.champion_version
    if not ranked:
        reason = "; ".join(f"{v.version}: {', '.join(v.objections)}" for v in verdicts) or "no candidate"
        return Decision(promoted=False, champion=current, predecessor=None, reason=reason, verdicts=verdicts)
    winner = ranked[0]
    return Decision(
        promoted=True,
        champion=winner.version,
        predecessor=current,
        reason=_praise(winner, contest, policy),
        verdicts=verdicts,
    )


def _judge(candidate: Standing, contest: Contest, policy: PromotionSettings, rolled_back: Mapping[str, str]) -> Verdict:
    unsound = (
        *(f"was rolled back: {reason}" for version, reason in rolled_back.items() if version == candidate.version),
        *_below_floors(candidate, policy),
        *_beyond_limits(candidate, policy),
    )
    champion = contest.champion
    if unsound or champion is None:
        return _verdict(candidate, is_sound=not unsound, objections=unsound)
    if champion.version == candidate.version:
        return _verdict(candidate, objections=("is the champion already",))
    metrics = dict.fromkeys((policy.metric, *policy.guardrails))
    if unmeasured := [metric for metric in metrics if champion.measured(metric) is None]:
        missing = (f"{metric} of champion {champion.version} was not measured" for metric in unmeasured)
        return _verdict(candidate, objections=tuple(missing))
    changes = {metric: _change(metric, candidate, champion) for metric in policy.guardrails}
    return _verdict(
        candidate,
        objections=(*_too_little_gain(candidate, contest, policy), *_falls(candidate, champion, changes, policy)),
        gain=contest.gain(candidate.version, policy.metric),
        changes=changes,
    )


def _verdict(
    candidate: Standing,
    *,
    objections: tuple[str, ...],
    is_sound: bool = True,
    gain: Interval | None = None,
    changes: dict[str, float] | None = None,
) -> Verdict:
    return Verdict(
        version=candidate.version,
        algorithm=candidate.algorithm,
        is_sound=is_sound,
        objections=objections,
        gain=gain,
        changes=changes or {},
    )


def _below_floors(candidate: Standing, policy: PromotionSettings) -> Iterator[str]:
    for metric in dict.fromkeys((policy.metric, *policy.guardrails)):
        value = candidate.measured(metric)
        floor = None if metric in _SPREAD else best_floor(candidate, metric)
        if value is None:
            yield f"{metric} was not measured"
        elif floor and not beats_floor(metric, value, floor[1]):
            yield f"{metric} {value:.4f} does not beat its floor {floor[0]} {floor[1]:.4f}"


def _beyond_limits(candidate: Standing, policy: PromotionSettings) -> Iterator[str]:
    for metric, limit in policy.limits.items():
        value = candidate.measured(metric)
        if value is None:
            yield f"{metric} was not measured"
        elif goodness(metric, value) < goodness(metric, limit):
            yield f"{metric} {value:.3g} is beyond its limit {limit:g}"


def _too_little_gain(candidate: Standing, contest: Contest, policy: PromotionSettings) -> Iterator[str]:
    gain = contest.gain(candidate.version, policy.metric)
    if gain is None:
        yield f"the gain in {policy.metric} has no interval over users, so it may be chance"
    elif not gain.low > policy.minimum_gain:
        yield (
            f"{policy.metric} {candidate.metrics[policy.metric]:.4f} gains {_with_ends(gain)} on champion "
            f"{_named(contest.champion, policy)}, surely more than {policy.minimum_gain:g} is needed"
        )


def _falls(
    candidate: Standing, champion: Standing, changes: Mapping[str, float], policy: PromotionSettings
) -> Iterator[str]:
    for metric, change in changes.items():
        largest = policy.guardrails[metric]
        if change < -largest - _ROUNDING:
            yield (
                f"{metric} {candidate.metrics[metric]:.4f} is {-change:.1%} worse than the champion's "
                f"{champion.metrics[metric]:.4f}, at most {largest:.1%} is allowed"
            )


def _change(metric: str, candidate: Standing, champion: Standing) -> float:
    gain = goodness(metric, candidate.metrics[metric]) - goodness(metric, champion.metrics[metric])
    return gain / max(abs(champion.metrics[metric]), math.ulp(1.0))


def _praise(winner: Standing, contest: Contest, policy: PromotionSettings) -> str:
    value = f"{policy.metric} {winner.metrics[policy.metric]:.4f}"
    if contest.unfit_champion:
        unfit = contest.unfit_champion
        return f"champion {unfit.version} cannot be measured ({unfit.problem}), {value} beats its floors"
    gain = contest.gain(winner.version, policy.metric)
    if gain is None:
        return f"first champion, beats its floors: {value}"
    return f"{value} beats champion {_named(contest.champion, policy)} by {_with_ends(gain)}"


def _named(champion: Standing | None, policy: PromotionSettings) -> str:
    return f"{champion.version} ({champion.metrics[policy.metric]:.4f})" if champion else ""


def _with_ends(gain: Interval) -> str:
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
