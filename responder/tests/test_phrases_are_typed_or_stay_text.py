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
