"""A security event: what a service tells of itself at once, over a signed call, without waiting for a rule to see it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from responder.core.alert import Alert, AlertStatus
from responder.core.incident import Kind, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """`id` is the sender's, the same in every try. `detail` is JSON text: identifiers and counts, nobody's content."""

    id: str
    event: str
    tenant_id: str
    source: str
    occurred_at: datetime
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPolicy:
    """What an event of one name becomes: the alert whose runbook entry it opens, for which service, how severe."""

    alert: str
    service: str
    severity: Severity


def alert_of(event: SecurityEvent, policy: EventPolicy) -> Alert:
    """The alert that the event is taken for. The same event always gives the same fingerprint and start."""
    return Alert(
        fingerprint=hashlib.sha256(f"{event.event}/{event.id}".encode()).hexdigest()[:16],
        status=AlertStatus.FIRING,
        labels={
            "alertname": policy.alert,
            "service": policy.service,
            "severity": policy.severity,
            "kind": Kind.SECURITY,
            "tier": "direct",
            "tenant_id": event.tenant_id,
            "source": event.source,
        },
        annotations={
            "summary": f"{event.event} of tenant {event.tenant_id}, seen by {event.source}",
            "detail": event.detail,
        },
        starts_at=event.occurred_at,
        ends_at=None,
        generator_url="",
    )
