"""A page: a notification that wants an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from responder.core.evidence import Evidence, Outcome
from responder.core.finding import Finding
from responder.core.incident import Incident, IncidentId

PageId = NewType("PageId", int)


class PageState(StrEnum):
    """due → sent on a confirmed 2xx; due → withdrawn when someone answered first; due → failed when refused for good."""

    DUE = "due"
    SENT = "sent"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`idempotency_key` is the same in every attempt: a receiver that honours it is paged once."""

    id: PageId
    incident_id: IncidentId
    round: int
    step: int
    person: str
    channel: str
    address: str
    idempotency_key: str
    body: Mapping[str, Any]
    state: PageState
    created_at: datetime


def page_key(incident: Incident, *, round_: int, step: int, person: str, channel: str) -> str:
    # The moment of opening keeps keys apart when an installation begins anew with INC-1.
    moment = int(incident.opened_at.timestamp())
    return f"{incident.name}-{moment}-r{round_}-s{step}-{person}-{channel}"


def page_body(
    incident: Incident,
    *,
    step: int,
    person: str,
    summary: str,
    ack_url: str,
    incident_url: str,
    evidence: Sequence[Evidence],
    findings: Sequence[Finding],
) -> dict[str, Any]:
    """What a page says: enough to decide on one bar of signal, before any link opens."""
    return {
        "type": "page",
        "incident": incident.name,
        "severity": incident.severity,
        "title": incident.title,
        "service": incident.service,
        "summary": summary,
        "step": step + 1,
        "person": person,
        "ack_url": ack_url,
        "incident_url": incident_url,
        "findings": [finding.claim for finding in findings],
        "evidence": [
            {"step": item.step_number, "title": item.step_title, "verdict": item.verdict}
            for item in evidence
            if item.outcome not in {Outcome.PENDING, Outcome.NOT_RUN}
        ],
    }


def page_text(body: Mapping[str, Any]) -> str:
    """The page as plain text, for channels that carry only that."""
    lines = [f"{body['severity']} {body['incident']} {body['title']}", str(body["summary"]), ""]
    lines += [
        "Acknowledge:",
        str(body["ack_url"]),
        "",
        "Incident, runbook and evidence:",
        str(body["incident_url"]),
    ]
    if body["findings"]:
        lines += ["", "What was found:", *(f"- {claim}" for claim in body["findings"])]
    if body["evidence"]:
        lines += ["", "Evidence:", *(f"- {e['step']} {e['title']}: {e['verdict']}" for e in body["evidence"])]
    return "\n".join(lines) + "\n"
