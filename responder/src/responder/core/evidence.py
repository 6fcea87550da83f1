"""Evidence: what was measured, when, over which window, and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from responder.core.incident import IncidentId

EvidenceId = NewType("EvidenceId", int)


class Outcome(StrEnum):
    """What became of a step. Everything but OK and EMPTY says that the evidence is missing, and why."""

    PENDING = "pending"
    OK = "ok"
    EMPTY = "empty"
    ERROR = "error"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    NOT_RUN = "not_run"


class Judgement(StrEnum):
    """What the measurement means for the incident: a reason to look here, a reason to look elsewhere, or neither."""

    BAD = "bad"
    GOOD = "good"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`text` is a few words for a person on a phone, with the measured value."""

    judgement: Judgement
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a source gave back. `output` is redacted and cut; `data` is JSON that findings are drawn from."""

    outcome: Outcome
    verdict: Verdict
    output: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One action of one investigation step, and what it gave. `line` is the runbook's."""

    id: EvidenceId
    incident_id: IncidentId
    position: int
    key: str
    step_number: str
    step_title: str
    kind: str
    text: str
    line: int
    outcome: Outcome
    judgement: Judgement | None
    verdict: str | None
    reason: str
    output: str | None
    data: Mapping[str, Any]
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """An action of an investigation step as it will be run, or the `reason` why it will not.

    `probe` says how it is measured: `{"query", "threshold"}` for promql, `{"url", "component"}` for http,
    `{"path", "pattern", "lines"}` for log. Placeholders stay as written.
    """

    key: str
    step_number: str
    step_title: str
    kind: str
    text: str
    line: int
    probe: Mapping[str, Any]
    runs: bool
    reason: str
