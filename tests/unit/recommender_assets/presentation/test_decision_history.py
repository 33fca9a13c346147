import datetime as dt
from typing import Any

import msgspec
import pytest

from recommender_assets.presentation import decision_history as module
from recommender_assets.presentation.decision_history import decision_history
from recommender_assets.presentation.plots import History
from recommender_assets.promotion.decisions import DecisionRow


def contender(version: str, rmse: float | None, interval: tuple[float, float] | None = None) -> dict[str, Any]:
    low, high = interval or (None, None)
    metrics = {} if rmse is None else {"rmse": {"value": rmse, "low": low, "high": high}}
    return {"version": version, "algorithm": version[:3], "role": "candidate", "metrics": metrics}


def row(day: int, kind: str, champion: str | None, *contenders: dict[str, Any]) -> DecisionRow:
    values = {
        "decision_id": str(day),
        "decided_at": dt.datetime(2026, 1, day, tzinfo=dt.UTC),
        "kind": kind,
        "champion": champion,
        "predecessor": None,
        "reason": "",
        "contenders": contenders,
    }
    return msgspec.convert(values, DecisionRow)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[History]:
    histories: list[History] = []
    monkeypatch.setattr(module, "champion_history", lambda _, history: histories.append(history) or "")
    return histories


def test_champion_challengers_and_rollbacks_are_told_apart(drawn: list[History]) -> None:
    rows = [
        row(1, "promotion", "svd-1", contender("svd-1", 0.9, (0.89, 0.92)), contender("nmf-1", 0.95)),
        row(2, "refusal", "svd-1", contender("svd-2", None), contender("svd-1", 0.91)),
        row(3, "rollback", "svd-0"),
    ]
    decision_history(rows, "rmse")
    (history,) = drawn
    assert [(p.at.day, p.value, p.low, p.high) for p in history.champion] == [
        (1, 0.9, 0.89, 0.92),
        (2, 0.91, 0.91, 0.91),
    ]
    assert [(p.at.day, p.value) for p in history.challengers] == [(1, 0.95)]
    assert [at.day for at in history.rollbacks] == [3]


def test_only_the_latest_are_drawn(drawn: list[History]) -> None:
    rows = [row(1, "refusal", "svd-1", contender("svd-1", float(number))) for number in range(60)]
    decision_history(rows, "rmse")
    assert [point.value for point in drawn[0].champion] == [float(number) for number in range(10, 60)]


@pytest.mark.parametrize(
    "rows", [[], [row(1, "refusal", None, contender("svd-1", 1.2, (1.1, 1.3)))], [row(2, "rollback", "svd-1")]]
)
def test_it_is_an_image_small_enough_for_the_event_log(rows: list[DecisionRow]) -> None:
    image = decision_history(rows, "rmse")
    assert image.startswith("![rmse of champion and challengers over time](data:image/png;base64,")
    assert len(image) < 100_000
