"""A dashboard as it is written down in `dashboards.py`, and the JSON that Grafana loads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
_SCHEMA_VERSION = 39
_WIDTH = 24
_SIZES = {"timeseries": (8, 8), "stat": (6, 4), "table": (12, 8)}


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        queries: legend -> PromQL; `{{label}}` in a legend is the label's value.
        unit: Grafana's name of the unit.
        kind: lines over time, one number, or a table of labels and values.
        help: shown beside the title.
        needs: what has to happen before there is anything to see; empty: there always is in a running system.
    """

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: Literal["timeseries", "stat", "table"] = "timeseries"
    help: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard: its address in Grafana, its title, and the panels of each row."""

    uid: str
    title: str
    rows: Mapping[str, Sequence[Panel]]

    @property
    def panels(self) -> list[Panel]:
        """All panels in reading order."""
        return [panel for panels in self.rows.values() for panel in panels]


def dashboard_json(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana's provisioning reads it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["recommender"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "title": "Recommender", "tags": ["recommender"], "asDropdown": True}],
        "panels": list(_placed(dashboard)),
    }


def _placed(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Rows and panels with their places, from left to right and from top to bottom."""
    number, top = 0, 0
    for title, panels in dashboard.rows.items():
        number += 1
        yield {"id": number, "type": "row", "title": title, "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1}}
        left, top, height = 0, top + 1, 0
        for panel in panels:
            width, panel_height = _SIZES[panel.kind]
            if left + width > _WIDTH:
                left, top, height = 0, top + height, 0
            number += 1
            yield _panel_json(panel, number, {"x": left, "y": top, "w": width, "h": panel_height})
            left, height = left + width, max(height, panel_height)
        top += height


def _panel_json(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    is_table = panel.kind == "table"
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _DATASOURCE,
            "expr": expr,
            "legendFormat": legend,
            **({"instant": True, "format": "table"} if is_table else {}),
        }
        for index, (legend, expr) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": " ".join([panel.help, f"Empty before {panel.needs}." if panel.needs else ""]).strip(),
        "datasource": _DATASOURCE,
        "gridPos": dict(place),
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        **({"transformations": [{"id": "organize", "options": {"excludeByName": _NOISE}}]} if is_table else {}),
    }


_NOISE = dict.fromkeys(("Time", "__name__", "instance", "job"), True)
