import re
from typing import Any

import pytest

from docs.metrics_table import sections
from recommender_assets.monitoring.dashboards import DASHBOARDS, dashboard_files
from recommender_assets.monitoring.panel import Dashboard, Panel, dashboard_json

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)


def exposed() -> set[str]:
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    metrics = [metric for of_place in sections().values() for metric in of_place]
    return {metric.name + suffix for metric in metrics for suffix in suffixes.get(metric.kind, ("",))}


def placed(dashboard: Dashboard) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = dashboard_json(dashboard)["panels"]
    return panels


def test_the_files_are_up_to_date() -> None:
    for path, content in dashboard_files().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name}: run make docs"
    (folder,) = {path.parent for path in dashboard_files()}
    assert set(folder.glob("*.json")) == dashboard_files().keys()


@each_dashboard
def test_panels_show_metrics_that_exist(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        for expr in panel.queries.values():
            assert set(re.findall(r"\brecommender_\w+", expr)) <= exposed(), panel.title


@each_dashboard
def test_panels_lie_beside_each_other_within_the_width(dashboard: Dashboard) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in placed(dashboard):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells, panel["title"]
        cells |= own


@each_dashboard
def test_every_panel_has_an_id_and_a_title_of_its_own_and_asks_the_provisioned_source(dashboard: Dashboard) -> None:
    panels = placed(dashboard)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "prometheus"
            assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])


def test_a_row_that_is_full_goes_on_below() -> None:
    panels = [Panel(str(number), {"": "up"}) for number in range(4)] + [Panel("wide", {"": "up"}, kind="table")]
    places = [panel["gridPos"] for panel in placed(Dashboard("d", "D", {"first": panels, "second": []}))]
    assert [(place["x"], place["y"]) for place in places] == [(0, 0), (0, 1), (8, 1), (16, 1), (0, 9), (8, 9), (0, 17)]


def test_a_panel_says_when_it_is_empty() -> None:
    panel = Panel("t", {"": "up"}, help="Lower is better.", needs="a run ends")
    (_, shown) = placed(Dashboard("d", "D", {"row": [panel]}))
    assert shown["description"] == "Lower is better. Empty before a run ends."
