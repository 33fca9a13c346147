"""The champion and its challengers over time, as the table of decisions tells it."""

import datetime as dt
from collections.abc import Iterator, Sequence

from recommender_assets.presentation.plots import History, Measurement, champion_history
from recommender_assets.promotion.decisions import ROLLBACKS, Contender, DecisionRow

_SHOWN = 50


def decision_history(rows: Sequence[DecisionRow], metric: str) -> str:
    """Plot of the primary metric in the latest 50 decisions: the champion after each, the candidates, the rollbacks.

    Each decision has a hold-out of its own, which grows with the data, so the champion's value changes too.

    Args:
        rows: oldest first.
        metric: what was compared.
    """
    latest = rows[-_SHOWN:]
    return champion_history(
        metric,
        History(
            champion=list(_measurements(latest, metric, of_champion=True)),
            challengers=list(_measurements(latest, metric, of_champion=False)),
            rollbacks=[row.decided_at for row in latest if row.kind in ROLLBACKS],
        ),
    )


def _measurements(rows: Sequence[DecisionRow], metric: str, *, of_champion: bool) -> Iterator[Measurement]:
    for row in rows:
        for contender in row.contenders:
            if (contender.version == row.champion) == of_champion and metric in contender.metrics:
                yield _measurement(row.decided_at, contender, metric)


def _measurement(decided_at: dt.datetime, contender: Contender, metric: str) -> Measurement:
    figure = contender.metrics[metric]
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return Measurement(decided_at, figure.value, low, high)
