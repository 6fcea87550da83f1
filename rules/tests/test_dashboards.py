"""Dashboards are written by a script, ask what there is, and show where each alert fires."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import write_dashboards  # noqa: E402 - it lies outside of the packages
import write_docs  # noqa: E402

RULES = [yaml.safe_load(file.read_text()) for file in sorted((ROOT / "rules").glob("*.rules.yml"))]
# What the exporters and Prometheus itself measure, of what the dashboards ask.
FOREIGN = {"probe_success", "up"}


def every_rule() -> Iterator[dict[str, Any]]:
    for body in RULES:
        for group in body["groups"]:
            yield from group["rules"]


def panels() -> list[dict[str, Any]]:
    return [
        p for board in write_dashboards.DASHBOARDS.values() for p in board["panels"] if p["type"] != "row"
    ]


@pytest.mark.parametrize("name", list(write_dashboards.DASHBOARDS))
def test_the_files_are_what_the_script_writes(name: str) -> None:
    """`make docs` would change nothing."""
    written = (write_dashboards.FOLDER / name).read_text(encoding="utf-8")
    assert written == write_dashboards.text_of(name), "run: make docs"
    assert json.loads(written)["uid"].startswith("bitb-")


def test_every_query_parses_and_asks_for_what_is_measured() -> None:
    """Each name is a recording, a metric of the chatbot, or an exporter's."""
    measured = set(re.findall(r"^\| `(\w+)`", write_docs.metrics(), re.MULTILINE))
    known = measured | {rule["record"] for rule in every_rule() if "record" in rule} | FOREIGN
    for panel in panels():
        assert panel["targets"]
        for target in panel["targets"]:
            promql_parser.parse(target["expr"])
            without_words = re.sub(r'"[^"]*"|\{[^}]*\}|by \([^)]*\)|\[\w+\]', "", target["expr"])
            for name in re.findall(r"[a-z_:][a-z0-9_:]{3,}(?!\w*\()", without_words):
                assert re.sub("_bucket$", "", name) in known, f"{panel['title']}: {name}"


def test_each_alert_has_a_panel_with_its_threshold_where_its_rule_leads() -> None:
    """The number in the `dashboard` annotation is the panel of that alert, with a line at each threshold it has."""
    board = {p["id"]: p for p in write_dashboards.DASHBOARDS["alerts.json"]["panels"]}
    alerts = [rule for rule in every_rule() if rule.get("alert") not in {None, "Watchdog"}]
    for rule in alerts:
        found = re.fullmatch(
            r"https://grafana\.bitb\.ai/d/bitb-alerts\?viewPanel=(\d)", rule["annotations"]["dashboard"]
        )
        assert found
        panel = board[int(found[1])]
        assert panel["title"] == rule["alert"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]
        assert panel["fieldConfig"]["defaults"]["custom"] == {"thresholdsStyle": {"mode": "line"}}
    assert len({rule["alert"] for rule in alerts}) == len(write_dashboards.ALERTS)
