"""Waiting times shrink together; limits and lines stay what they are. Tried on the project's own files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from drills import timescale

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("written", "scale", "shorter"),
    [
        ("5m", 30, "10s"),
        ("30s", 30, "1s"),
        ("1s", 30, "33ms"),
        ("48h", 30, "96m"),
        ("1m", 60, "1s"),
        ("5m", 1, "5m"),
    ],
)
def test_a_duration(written: str, scale: float, shorter: str) -> None:
    """In the largest unit that is whole, and never zero."""
    assert timescale.shorter(written, scale) == shorter


def test_the_rules_keep_everything_but_their_times() -> None:
    """Ranges, `for` and `keep_firing_for` shrink; names, thresholds and labels do not change."""
    text = (ROOT / "rules" / "bitb-chatbot.rules.yml").read_text()
    scaled = timescale.rules(text, 30)
    before, after = yaml.safe_load(text), yaml.safe_load(scaled)
    times = re.compile(r"\[\w+\]|offset \w+|, \d+\)")
    for old_group, new_group in zip(before["groups"], after["groups"], strict=True):
        for old, new in zip(old_group["rules"], new_group["rules"], strict=True):
            assert times.sub("[]", old["expr"]) == times.sub("[]", new["expr"])
            assert len(times.findall(old["expr"])) == len(times.findall(new["expr"]))
            assert old.get("labels") == new.get("labels")
            if "for" in old:
                assert new["for"] == timescale.shorter(old["for"], 30)
                assert new["keep_firing_for"] == timescale.shorter(old["keep_firing_for"], 30)
    assert "[10s]" in scaled
    assert "[5m]" not in scaled
    assert "predict_linear(server:pg_connections_taken:ratio[30s], 30) > 1" in scaled


def test_subqueries_and_offsets_shrink_too() -> None:
    """Every duration of an expression, and no number that is none."""
    assert (
        timescale.promql('max_over_time(x{le="5"}[1h:5m] offset 1d) > 5', 60)
        == 'max_over_time(x{le="5"}[1m:5s] offset 24m) > 5'
    )


def test_the_runbook_keeps_its_lines_and_its_limits() -> None:
    """ "p95 > 5 seconds" is a limit, "for 10 minutes" is a wait."""
    text = (ROOT / "responder" / "tests" / "runbook-as-given.md").read_text()
    scaled = timescale.runbook(text, 30)
    assert scaled.count("\n") == text.count("\n")
    assert "**Threshold:** p95 > 5 seconds for 20 seconds" in scaled
    assert "**Threshold:** >5% error rate for 10 seconds" in scaled
    assert "### 1. Acknowledge (< 10 seconds)" in scaled
    assert "### 5. Post-Mortem (within 5760 seconds)" in scaled
    assert "### 3. Mitigate (< 60 seconds for P0)" in scaled
    assert "- **No improvement after 30 seconds:** Escalate" in scaled
    assert "interval '5 minutes'" in scaled
    assert "- **Persistent >10s:** Escalate to P0" in scaled


def test_policies_shrink_what_people_wait_for() -> None:
    """Steps of an escalation do; how long an approval lasts does not."""
    text = (ROOT / "policies" / "escalation.toml").read_text()
    assert 'after = "10s"' in timescale.policy(text, 30)
    assert 'wait_for_evidence = "3s"' in timescale.policy(text, 30)
    remediation = timescale.policy((ROOT / "policies" / "remediation.toml").read_text(), 30)
    assert 'settle = "4s"' in remediation
    assert 'approval_lasts = "5m"' in remediation
