"""Thresholds and escalation lines: phrases.toml says what a person reads in each. What cannot be typed stays the words."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from responder.core.runbook import Unit
from responder.runbooks.conditions import condition
from responder.runbooks.escalations import escalation
from responder.runbooks.reader import parse_runbook

PHRASES: dict[str, list[list[Any]]] = tomllib.loads(
    Path(__file__).with_name("phrases.toml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("row", PHRASES["thresholds"], ids=lambda row: row[0])
def test_a_threshold_in_words(row: list[Any]) -> None:
    """Operator, value, unit, how long it must hold, and the quantile; or a state, with no value at all."""
    raw, op, value, unit, seconds, quantile = row
    found = condition(raw)
    assert (found.op, found.unit) == (op, Unit(unit))
    assert found.value == (None if op == "state" else pytest.approx(value))
    assert found.for_ == (timedelta(seconds=seconds) if seconds else None)
    assert found.quantile == (pytest.approx(quantile) if quantile else None)
    assert found.raw == raw


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("This alert fires when the lag is over 60s.", 60),
        ("Alerts when the disk is above 90% for 10 minutes.", 90),
        ("Alert if the queue holds more than 100 jobs.", 100),
        ("This alert occurs when the error rate exceeds 5%.", 5),
        ("An alert is issued as soon as memory is above 80%.", 80),
        ("The alert has fired because the CPU is above 75% for 10 minutes.", 75),
        # What is the case when it fires, what it harms, whom it wakes: not what it measures.
        ("The error rate is above 5%.", None),
        ("This alert means that more than 500 people cannot sign in.", None),
        ("Alert the database team if the lag is above 60s.", None),
        ("This alert fires when the lag is above 60s. It also fires when the lag is above 90s.", None),
    ],
)
def test_a_threshold_in_a_sentence(sentence: str, value: float | None) -> None:
    """Only where the words say that the alert fires then, and only at one limit; else there is none that could be told."""
    page = f"# DiskFull\n\n## Meaning\n\n{sentence}\n\n## Diagnosis\n\n- Look\n"
    found = parse_runbook(page, path="DiskFull.md").alerts[0].threshold
    assert (found and found.value) == value


@pytest.mark.parametrize("row", PHRASES["escalations"], ids=lambda row: row[0])
def test_an_escalation_line(row: list[Any]) -> None:
    """When, who, after how long and how; or text that a person judges."""
    raw, trigger, targets, seconds, effect = row
    found = escalation(raw, line=1)
    assert (found.trigger, list(found.targets)) == (trigger, targets)
    assert found.after == (timedelta(seconds=seconds) if seconds else None)
    assert found.effect == (effect or None)


def test_a_bare_measure_is_of_the_entrys_own_threshold() -> None:
    """ "Persistent >10s" beside "p95 > 5 seconds for 10 minutes": the same quantile, the same time."""
    own = condition("p95 > 5 seconds for 10 minutes")
    found = escalation("Persistent >10s: Escalate to P0", line=1, threshold=own).condition
    assert found is not None
    assert (found.value, found.quantile, found.for_) == (10.0, 0.95, timedelta(minutes=10))


def test_the_table_is_large_enough_to_mean_something() -> None:
    """Each phrase once."""
    phrases = [row[0] for rows in PHRASES.values() for row in rows]
    assert len(phrases) > 80
    assert len(set(phrases)) == len(phrases)
