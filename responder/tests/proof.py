"""Runbooks and rules written in a test, and what the linter finds in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from responder.core.defect import Defect
from responder.runbooks.lint import lint
from responder.runbooks.lint.subject import Subject
from responder.runbooks.reader import parse_runbook
from responder.runbooks.rules import parse_rules

TODAY = date(2027, 1, 15)


def subject(runbook: str = "# Nothing\n", rules: str = "", **more: frozenset[str]) -> Subject:
    """One runbook `runbook.md` and one file of rules `rules.yml`."""
    files = (parse_rules(rules, path="rules.yml"),) if rules else ()
    return Subject(runbooks=(parse_runbook(runbook, path="runbook.md"),), files=files, **more)


def found(runbook: str = "# Nothing\n", rules: str = "", **more: frozenset[str]) -> Sequence[Defect]:
    """The findings."""
    return lint(subject(runbook, rules, **more), today=TODAY).defects


def entry(*, severity: str = "", threshold: str = "", body: str = "") -> str:
    """A runbook with one alert, `Fault`."""
    meta = [("Severity", severity), ("Threshold", threshold)]
    rows = ["# Fault", "", "**Alert:** `Fault`  "]
    rows += [f"**{key}:** {value}  " for key, value in meta if value]
    return "\n".join([*rows, "", body, ""])


def rule(expr: str, *, lasting: str = "", severity: str = "critical", name: str = "Fault") -> str:
    """A file with one rule."""
    return "groups:\n- name: g\n  rules:\n" + one_rule(expr, lasting=lasting, severity=severity, name=name)


def one_rule(expr: str, *, lasting: str = "", severity: str = "critical", name: str = "Fault") -> str:
    """A rule as an item of a list."""
    quoted = expr.replace("'", "''")
    rows = [f"  - alert: {name}", f"    expr: '{quoted}'"]
    rows += [f"    for: {lasting}"] if lasting else []
    rows += ["    labels:", f"      severity: '{severity}'"] if severity else []
    return "\n".join(rows) + "\n"


def query(language: str, text: str, *, heading: str = "Diagnosis") -> str:
    """A runbook with one alert and one block under `heading`."""
    return entry(body=f"## {heading}\n\n1. Look\n\n   ```{language}\n" + _indented(text) + "\n   ```")


def _indented(text: str) -> str:
    return "\n".join(f"   {row}" for row in text.splitlines())
