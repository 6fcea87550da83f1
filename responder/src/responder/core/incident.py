"""An incident: what people work on. This file owns its states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from responder.core.machine import Table, next_state
from responder.errors import NotFound

IncidentId = NewType("IncidentId", int)


class Severity(StrEnum):
    P0 = "P0"
    P1 = "P1"
    P2 = "P2"


class Kind(StrEnum):
    """What an alert tells of: a cause explains the symptoms of its service; security always opens its own."""

    CAUSE = "cause"
    SYMPTOM = "symptom"
    SECURITY = "security"


class Status(StrEnum):
    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    ASSESSED = "assessed"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    REVIEWED = "reviewed"
    REOPENED = "reopened"


class Event(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    ASSESS = "assess"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"
    REVIEW = "review"
    REOPEN = "reopen"


# A person may skip a step (the cure is sometimes found before the severity is agreed), never go back, save by reopening.
TRANSITIONS: Table[Status, Event] = {
    Status.TRIGGERED: {
        Event.ACKNOWLEDGE: Status.ACKNOWLEDGED,
        Event.RESOLVE: Status.RESOLVED,
    },
    Status.REOPENED: {
        Event.ACKNOWLEDGE: Status.ACKNOWLEDGED,
        Event.RESOLVE: Status.RESOLVED,
    },
    Status.ACKNOWLEDGED: {
        Event.ASSESS: Status.ASSESSED,
        Event.MITIGATE: Status.MITIGATED,
        Event.RESOLVE: Status.RESOLVED,
    },
    Status.ASSESSED: {
        Event.MITIGATE: Status.MITIGATED,
        Event.RESOLVE: Status.RESOLVED,
    },
    Status.MITIGATED: {
        Event.RESOLVE: Status.RESOLVED,
    },
    Status.RESOLVED: {
        Event.REVIEW: Status.REVIEWED,
        Event.REOPEN: Status.REOPENED,
    },
    Status.REVIEWED: {
        Event.REOPEN: Status.REOPENED,
    },
}

OPEN = frozenset({Status.TRIGGERED, Status.REOPENED, Status.ACKNOWLEDGED, Status.ASSESSED, Status.MITIGATED})
UNANSWERED = frozenset({Status.TRIGGERED, Status.REOPENED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """`alert_labels` are those of the alert that opened it; `policy` names the escalation policy stamped on it."""

    id: IncidentId
    service: str
    alertname: str
    title: str
    severity: Severity
    kind: Kind
    status: Status
    restricted: bool
    runbook_sha256: str | None
    runbook_entry: str | None
    alert_labels: Mapping[str, str]
    policy: str
    commander: str | None
    opened_at: datetime
    status_changed_at: datetime
    quiet_since: datetime | None
    resolved_at: datetime | None

    @property
    def name(self) -> str:
        return incident_name(self.id)

    def after(self, event: Event) -> Status:
        """The status after `event`. Raises IllegalTransition."""
        return next_state(TRANSITIONS, self.status, event, thing=self.name)


def events_possible(incident: Incident) -> frozenset[Event]:
    """What can be done with the incident as it stands."""
    return frozenset(TRANSITIONS[incident.status])


def incident_name(incident_id: IncidentId) -> str:
    return f"INC-{incident_id}"


def parse_incident_name(text: str) -> IncidentId:
    """`INC-12`, `inc-12` or `12`. Raises NotFound for anything else."""
    found = re.fullmatch(r"(?:inc-)?([1-9][0-9]{0,17})", text.strip().lower())
    if found is None:
        raise NotFound(f"'{text[:40]}' is not an incident's name. Incidents are named like INC-12.")
    return IncidentId(int(found[1]))
