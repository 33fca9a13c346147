"""What people read of an experiment: a table of figures and a sentence."""

from collections.abc import Mapping

from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.result import ExperimentResult, FurtherEffect, Interval
from recommender_assets.presentation.plots import image
from recommender_assets.presentation.tables import key_value_table

_HEADLINES: Mapping[str, str] = {
    "treatment": "{arm} is better than control",
    "control": "control is better than {arm}",
    "no_difference_found": "no difference between {arm} and control was found",
    "keep_running": "too early for a verdict on {arm}",
    "sample_ratio_mismatch": "no verdict on {arm}: something is wrong with the assignment",
    "guardrail_broken": "{arm} has to stop: a guardrail is broken",
    "not_enough_data": "no verdict on {arm}: there is not enough data",
}


def headline(result: ExperimentResult) -> str:
    """The verdict in one sentence, with the size of the difference and whose traffic it was."""
    verdict = _sentence(_HEADLINES[result.decision].format(arm=result.treatment))
    if result.difference is None or result.decision not in {"treatment", "control", "no_difference_found"}:
        return f"{verdict} ({result.traffic} traffic): {result.reason}."
    found = (
        f"{result.metric} {result.difference:+.4f}, {_interval(result.difference_interval)}, p = {result.p_value:.2g}"
    )
    return f"{verdict} ({found}; {result.traffic} traffic)."


def figures(run: ExperimentRun, result: ExperimentResult) -> dict[str, str]:
    """Names and values of everything that was found, in reading order."""
    definition = run.definition
    confidence = f"{1 - definition.significance_level:.0%}"
    variants = ", ".join(f"{arm} = {variant.algorithm}" for arm, variant in definition.variants.items())
    rows = {
        "experiment": f"{definition.name} ({variants})",
        "question": f"{result.metric}, smallest difference worth finding {definition.min_effect_size:g} "
        f"(absolute), power {definition.statistical_power:g}, level {definition.significance_level:g}",
        "stop rule": _STOP_RULES[definition.stop_rule].format(users=f"{result.sample_size:,}"),
        "users seen": ", ".join(f"{arm} {users:,}" for arm, users in result.samples.items()),
        "users arrived as planned": f"p = {result.sample_ratio_p_value:.3g}",
        **{f"{result.metric} of {arm}": f"{rate:.4f}" for arm, rate in result.rates.items()},
        "difference": _with_interval(result.difference, result.difference_interval, "+.4f"),
        f"lift ({confidence} interval)": _with_interval(result.lift, result.confidence_interval, "+.1%"),
        "p-value": "" if result.p_value is None else f"{result.p_value:.3g} ({result.method})",
        "effect size": "" if result.effect_size is None else f"{result.effect_size:+.3f}",
        "power reached": "" if result.power is None else f"{result.power:.3f}",
        "explained by before": ""
        if result.variance_removed is None
        else f"{result.variance_removed:.1%} of the variance",
        **{f"effect, {name}": _effect(effect) for name, effect in result.segments.items() if len(result.segments) > 1},
        **{f"also, {metric}": _effect(effect) for metric, effect in result.secondary.items()},
        "trend of the effect": ""
        if result.trend is None
        else f"{result.trend.slope:+.4f} per day (p = {result.trend.p_value:.2g})",
        "traffic": f"{result.traffic}: {result.population}",
        **{f"note {number}": note for number, note in enumerate(result.notes, 1)},
        "decision": f"{result.decision}: {result.reason}",
    }
    return {name: value for name, value in rows.items() if value}


_STOP_RULES = {
    "fixed": "one test when every arm has {users} users",
    "sequential": "a look every day, at most until every arm has {users} users",
}


def _effect(effect: FurtherEffect) -> str:
    return f"{effect.difference:+.4f} ({_interval(effect.interval)}), {effect.users:,} users, p = {effect.p_value:.2g}"


def _with_interval(value: float | None, interval: Interval | None, form: str) -> str:
    if value is None:
        return ""
    return f"{value:{form}}" + (f" ({_interval(interval, form)})" if interval else "")


def _interval(interval: Interval | None, form: str = "+.4f") -> str:
    return f"{interval[0]:{form}} to {interval[1]:{form}}" if interval else "no interval"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def report_sections(run: ExperimentRun) -> dict[str, str]:
    """Markdown by section: verdict and figures of every treatment, and the plot."""
    name = run.definition.name
    sections = {}
    for result in run.results:
        sections[f"{name}_{result.treatment}"] = f"{headline(result)}\n\n{key_value_table(figures(run, result))}"
    return {**sections, f"{name}_effect": image(f"effect of {name} by day", run.plot())}
