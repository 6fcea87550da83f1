"""Alerting rules as Prometheus has them, with the lines they stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """`line` is that of its name, `expr_line` that of its expression, `end_line` its last; they count from 1."""

    name: str
    expr: str
    for_: timedelta
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    file: str
    line: int
    expr_line: int
    end_line: int

    @property
    def severity(self) -> str | None:
        return self.labels.get("severity") or self.labels.get("priority")

    @property
    def runbook_url(self) -> str | None:
        return self.annotations.get("runbook_url") or self.annotations.get("runbook")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """`records` are the recording rules, by name; `text` the file, for the comments that silence a finding."""

    path: str
    text: str
    alerts: tuple[AlertRule, ...]
    records: Mapping[str, str]
