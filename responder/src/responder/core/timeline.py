"""The timeline of an incident: append-only, each entry chained to the one before by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from responder.core.incident import IncidentId

FIRST = "0" * 64
SYSTEM = "responder"


class EntryKind(StrEnum):
    ALERT_RECEIVED = "alert_received"
    INCIDENT_OPENED = "incident_opened"
    SEVERITY_RAISED = "severity_raised"
    STEP_NOT_RUN = "step_not_run"
    EVIDENCE_RECORDED = "evidence_recorded"
    FINDING_RECORDED = "finding_recorded"
    PAGE_SENT = "page_sent"
    PAGE_FAILED = "page_failed"
    PAGE_WITHDRAWN = "page_withdrawn"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    ASSESSED = "assessed"
    MITIGATED = "mitigated"
    REMEDIATION_PREVIEWED = "remediation_previewed"
    REMEDIATION_APPROVED = "remediation_approved"
    REMEDIATION_RUN = "remediation_run"
    REMEDIATION_VERIFIED = "remediation_verified"
    REMEDIATION_FAILED = "remediation_failed"
    REMEDIATION_WITHDRAWN = "remediation_withdrawn"
    REMEDIATION_UNDONE = "remediation_undone"
    DEADLINE_MISSED = "deadline_missed"
    ALERT_RESOLVED = "alert_resolved"
    RECOVERY_REFUSED = "recovery_refused"
    INCIDENT_RESOLVED = "incident_resolved"
    INCIDENT_REOPENED = "incident_reopened"
    STATUS_PUBLISHED = "status_published"
    POSTMORTEM_WRITTEN = "postmortem_written"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`seq` counts from 1 within an incident. `actor` is a person's name or "responder". `data` is JSON."""

    incident_id: IncidentId
    seq: int
    at: datetime
    kind: EntryKind
    actor: str
    text: str
    data: Mapping[str, Any]
    previous: str
    hash: str


def chain_hash(
    *,
    previous: str,
    incident_id: IncidentId,
    seq: int,
    at: datetime,
    kind: EntryKind,
    actor: str,
    text: str,
    data: Mapping[str, Any],
) -> str:
    """SHA-256, hex, over the canonical JSON of the entry with the hash before it."""
    body = [
        previous,
        incident_id,
        seq,
        at.astimezone(UTC).isoformat(timespec="microseconds"),
        kind,
        actor,
        text,
        data,
    ]
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def first_break(entries: Iterable[Entry]) -> Entry | None:
    """The first entry that does not follow from the one before, or None when the chain is whole."""
    previous = FIRST
    for seq, entry in enumerate(entries, start=1):
        expected = chain_hash(
            previous=previous,
            incident_id=entry.incident_id,
            seq=seq,
            at=entry.at,
            kind=entry.kind,
            actor=entry.actor,
            text=entry.text,
            data=entry.data,
        )
        if entry.seq != seq or entry.previous != previous or entry.hash != expected:
            return entry
        previous = entry.hash
    return None
