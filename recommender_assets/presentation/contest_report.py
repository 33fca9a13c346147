"""What the evaluation report shows of a contest, section by section."""

from collections.abc import Iterator, Mapping, Sequence

from recommender_assets.presentation.plots import comparison, differences, list_curves
from recommender_assets.presentation.tables import contest_table, difference_table, key_value_table
from recommender_assets.promotion.contest import Contest, Difference
from recommender_assets.promotion.standing import Standing


def contest_report(contest: Contest, metric: str) -> dict[str, str]:
    """Markdown by section: the table of all figures, their curves, the candidates' difference, what metrics mean.

    Args:
        contest: all contenders on one hold-out.
        metric: whose values are drawn side by side.
    """
    contenders = contest.contenders
    measured = {c.version: c.metrics[metric] for c in contenders if metric in c.metrics}
    sections = {
        "report": contest_table(contenders),
        "comparison": comparison(metric, measured, contenders[0].floors.get(metric, {})),
    }
    if curves := _curves(contenders):
        sections["curves"] = list_curves(curves)
    if contest.differences:
        sections["differences"] = difference_table(contest.differences, contest.confidence)
        first = contest.differences[0]
        sections["difference_of_candidates"] = differences(f"{first.left} minus {first.right}", _ends(first))
    return sections | {"protocols": key_value_table(contest.protocols)}


def _curves(contenders: Sequence[Standing]) -> Mapping[str, Mapping[str, Sequence[float]]]:
    found: dict[str, dict[str, Sequence[float]]] = {}
    for standing in contenders:
        for curve, name, values in _lines(standing):
            found.setdefault(curve, {})[name] = values
    return found


def _lines(standing: Standing) -> Iterator[tuple[str, str, Sequence[float]]]:
    for curve, lines in standing.curves.items():
        for name, values in lines.items():
            if name != "random":
                yield curve, standing.version if name == "model" else f"floor: {name}", values


def _ends(difference: Difference) -> Mapping[str, tuple[float, float, float]]:
    return {metric: (found.value, found.low, found.high) for metric, found in difference.metrics.items()}
