"""The board and the alerts that ship: every metric and label they ask for is there, every page they name too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dovetail.serving.metrics import Metrics

ROOT = Path(__file__).parents[2]
BOARD: dict[str, Any] = json.loads((ROOT / "conf" / "grafana-dashboard.json").read_text("utf-8"))
GROUPS = yaml.safe_load((ROOT / "conf" / "alerts.yml").read_text("utf-8"))["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
PAGE = (ROOT / "docs" / "observability.md").read_text("utf-8")
ENDS = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
EXPRS = {
    **{f"panel {p['title']} {t['refId']}": t["expr"] for p in BOARD["panels"] for t in p["targets"]},
    **{f"variable {v['name']}": v["query"] for v in BOARD["templating"]["list"] if v["type"] == "query"},
    **{f"alert {rule['alert']}": rule["expr"] for rule in ALERTS},
}


def known() -> dict[str, set[str]]:
    """The labels of each series by its name."""
    found = dict[str, set[str]]()
    for collector in {*Metrics().registry._collector_to_names}:
        (family,) = collector.collect()
        names: set[str] = {*collector._labelnames}  # type: ignore[attr-defined]
        for end in ENDS[family.type]:
            found[family.name + end] = names | ({"le"} if end == "_bucket" else set())
    return found


KNOWN = known()


@pytest.mark.parametrize("where", EXPRS)
def test_what_is_asked_for_is_there(where: str) -> None:
    expr = EXPRS[where]
    metrics = re.findall(r"\bdovetail_\w+", expr)
    assert metrics, "it is about nothing of ours"
    assert {*metrics} <= {*KNOWN}
    labels = set().union(*(KNOWN[name] for name in metrics))
    asked = [name for names in re.findall(r"\b(?:by|on) \(([^)]*)\)", expr) for name in names.split(", ")]
    selected = [(name, label) for name, inside in re.findall(r"(\w+)\{([^}]*)\}", expr)
                for label in re.findall(r"(\w+)=~?\"", inside)]  # fmt: skip
    assert {*asked} <= labels
    assert [label for name, label in selected if label not in KNOWN[name]] == []
    assert expr.count("(") == expr.count(")")


def test_legends_and_summaries_name_labels_of_what_is_shown() -> None:
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            kept = {n for names in re.findall(r"by \(([^)]*)\)", target["expr"]) for n in names.split(", ")}
            assert {*re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])} <= kept, panel["title"]
    for rule in ALERTS:
        labels = set().union(*(KNOWN[name] for name in re.findall(r"\bdovetail_\w+", rule["expr"])))
        assert {*re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])} <= labels, rule["alert"]


def test_every_alert_names_a_page_that_is_there() -> None:
    for rule in ALERTS:
        page = rule["annotations"]["runbook_url"]
        assert re.fullmatch(r"docs/runbook/[a-z-]+\.md", page), rule["alert"]
        assert (ROOT / page).is_file(), page
        assert rule["labels"]["severity"] in ("warning", "critical")
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)


def test_panels_lie_side_by_side() -> None:
    cells = [
        (x, y)
        for p in BOARD["panels"]
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    ]
    assert len(cells) == len({*cells})
    assert max(x for x, _ in cells) < 24
    assert len({p["id"] for p in BOARD["panels"]}) == len(BOARD["panels"])


def test_the_page_lists_every_metric_once_with_its_labels() -> None:
    told = re.findall(r"^\| `(dovetail_\w+)` \|([^|]*)\|", PAGE, re.MULTILINE)
    families = {re.sub(r"_(bucket|count|sum)$", "", name): labels - {"le"} for name, labels in KNOWN.items()}
    assert {name: {*re.findall(r"`(\w+)`", labels)} for name, labels in told} == families
    assert len(told) == len(families)
