"""Markdown tables for the metadata of assets."""

from collections.abc import Mapping, Sequence
from typing import Any

from recommender_assets.promotion.contest import Difference
from recommender_assets.promotion.policy import Decision, Verdict
from recommender_assets.promotion.standing import LOWER_IS_BETTER, Standing, beats


def contest_table(standings: Sequence[Standing]) -> str:
    """One row per metric, one column per model, then the floors; a figure that beats every floor is bold.

    Beside a figure stands its interval over users, if it has one.
    """
    metrics = list(dict.fromkeys(metric for standing in standings for metric in standing.metrics))
    rows = [["metric", *(standing.version for standing in standings), "floors"]]
    for metric in metrics:
        direction = "lower" if metric in LOWER_IS_BETTER else "higher"
        figures = [_figure(standing, metric) for standing in standings]
        floors = standings[0].floors.get(metric, {})
        rows.append(
            [f"{metric} ({direction} is better)", *figures, ", ".join(f"{n} {v:.4f}" for n, v in floors.items())]
        )
    return _markdown(rows)


def difference_table(differences: Sequence[Difference], confidence: float) -> str:
    """One row per metric and pair of models: the difference, its interval, and which model is better beyond chance."""
    rows = [["metric", "difference", "value", f"{confidence * 100:g} % interval", "better"]]
    for difference in differences:
        for metric, found in difference.metrics.items():
            left_is_better = (found.value < 0) == (metric in LOWER_IS_BETTER)
            winner = difference.left if left_is_better else difference.right
            rows.append(
                [
                    metric,
                    f"{difference.left} - {difference.right}",
                    f"{found.value:+.4f}",
                    f"{found.low:+.4f} to {found.high:+.4f}",
                    winner if found.excludes_zero else "may be chance",
                ]
            )
    return _markdown(rows)


def decision_table(decision: Decision) -> str:
    """One row per candidate: what became of it and why."""
    rows = [
        [
            verdict.version,
            "champion" if decision.promoted and verdict.version == decision.champion else "staging",
            _gain(verdict),
            ", ".join(f"{metric} {change:+.1%}" for metric, change in verdict.changes.items()),
            "; ".join(verdict.objections),
        ]
        for verdict in decision.verdicts
    ]
    return _markdown([["candidate", "outcome", "gain", "guardrails", "objections"], *rows])


def key_value_table(values: Mapping[str, Any]) -> str:
    """Two columns: name and value."""
    return _markdown([["name", "value"], *([name, str(value)] for name, value in values.items())])


def _gain(verdict: Verdict) -> str:
    gain = verdict.gain
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})" if gain else ""


def _figure(standing: Standing, metric: str) -> str:
    value = standing.metrics.get(metric)
    if value is None:
        return ""
    floors = standing.floors.get(metric, {})
    text = f"{value:.4f}"
    if floors and all(beats(metric, value, floor) for floor in floors.values()):
        text = f"**{text}**"
    ends = standing.intervals.get(metric)
    return f"{text} ({ends[0]:.4f} to {ends[1]:.4f})" if ends else text


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    header, *body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([header, "|" + " --- |" * len(rows[0]), *body])
