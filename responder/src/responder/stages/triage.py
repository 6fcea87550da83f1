"""alert → incident: joins an open one or opens it, with its steps, remedies, deadlines and first page in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from responder.core.alert import Alert, AlertStatus
from responder.core.incident import UNANSWERED, Incident, IncidentId, Kind, Severity
from responder.core.process import Deadline, Milestone, applies, milestone_named
from responder.core.status_page import UpdateState
from responder.core.timeline import EntryKind
from responder.errors import Conflict
from responder.runbooks.library import Entry
from responder.runbooks.plan import plan_remediation, plan_steps
from responder.stages import communicate
from responder.stages.ports import Outside
from responder.store import (
    alerts,
    deadlines,
    due,
    escalations,
    evidence,
    incidents,
    recoveries,
    remediations,
    runbook_revisions,
    timeline,
)
from responder.store.alerts import StoredAlert
from responder.store.db import Conn
from responder.store.due import Claim
from responder.telemetry import DECISIONS


class Decision(StrEnum):
    """What became of an alert, and why."""

    OPENED = "opened"
    JOINED = "joined_open_incident"
    RAISED = "joined_and_raised_severity"
    HEARTBEAT = "watchdog_is_no_incident"
    RESOLVED = "resolved"
    RESOLVED_UNKNOWN = "resolved_without_incident"


# An alert that always fires, by convention of Prometheus: it says that the chain is alive.
WATCHDOG = "Watchdog"


async def run(outside: Outside, claim: Claim) -> None:
    """Triages one alert."""
    try:
        decision = await _triage(outside, claim)
    except Conflict:
        # Another alert of the same name opened the incident in the same moment: now there is one to join. If the
        # conflict was about the claim, it is raised again.
        decision = await _triage(outside, claim)
    DECISIONS.labels(stage="triage", reason=decision).inc()


async def _triage(outside: Outside, claim: Claim) -> Decision:
    async with outside.database.transaction() as conn:
        stored = await alerts.get(conn, claim.id)
        if stored.alert.name == WATCHDOG:
            decision = Decision.HEARTBEAT
        elif stored.alert.status is AlertStatus.RESOLVED:
            decision = await _resolved(conn, outside, stored)
        else:
            decision = await _firing(conn, outside, stored)
        await due.finish(conn, alerts.QUEUE, claim)
    return decision


async def _resolved(conn: Conn, outside: Outside, stored: StoredAlert) -> Decision:
    if stored.incident_id is None:
        return Decision.RESOLVED_UNKNOWN
    now = outside.clock.now()
    incident = await incidents.get(conn, stored.incident_id, lock=True)
    still_firing = await alerts.still_firing(conn, incident.id)
    latched = incident.alertname in outside.policies.latched_alerts
    await timeline.append(
        conn,
        incident.id,
        EntryKind.ALERT_RESOLVED,
        at=now,
        text=f"{stored.alert.title} is quiet{_meanwhile(still_firing, latched=latched)}",
        data={
            "alert": stored.alert.name,
            "fingerprint": stored.alert.fingerprint,
            "still_firing": still_firing,
        },
    )
    if still_firing == 0:
        await incidents.set_quiet_since(conn, incident.id, now)
    if still_firing == 0 and not latched:
        await recoveries.schedule(conn, incident.id, due_at=now + outside.policies.remediation.settle)
    return Decision.RESOLVED


def _meanwhile(still_firing: int, *, latched: bool) -> str:
    """What keeps the incident open although one of its alerts is quiet."""
    if still_firing:
        return f"; {still_firing} more of this incident still {'fires' if still_firing == 1 else 'fire'}"
    return "; it stays open until a person closes it" if latched else ""


async def _firing(conn: Conn, outside: Outside, stored: StoredAlert) -> Decision:
    alert = stored.alert
    incident = await incidents.open_for(conn, service=alert.service, alertname=alert.name)
    if incident is None:
        entry = outside.library.entry_for(alert)
        incident = await _open(conn, outside, alert, entry)
        decision = Decision.OPENED
        await _received(conn, incident.id, stored)
        await _opened(conn, incident, entry, now=outside.clock.now())
        await _prepare(conn, outside, incident, entry)
    else:
        await _received(conn, incident.id, stored)
        decision = await _raise(conn, outside, incident, alert)
    await alerts.join(conn, stored.id, incident.id)
    await incidents.set_quiet_since(conn, incident.id, None)
    if alert.name not in outside.policies.latched_alerts:
        again = outside.clock.now() + outside.policies.remediation.settle
        await recoveries.schedule(conn, incident.id, due_at=again)
    return decision


async def _raise(conn: Conn, outside: Outside, incident: Incident, alert: Alert) -> Decision:
    """A worse tier that joins makes the incident as bad as itself, never better; if nobody has it yet, the policy of that pages."""
    severity = severity_of(alert, None) if alert.labels.get("severity") else incident.severity
    if severity >= incident.severity:  # P0 is before P1
        return Decision.JOINED
    now = outside.clock.now()
    policy = outside.policies.escalation_for(severity, restricted=incident.restricted)
    await incidents.set_severity(conn, incident.id, severity)
    unanswered = incident.status in UNANSWERED
    if unanswered:
        await escalations.start(conn, incident.id, policy, due_at=now)
    await timeline.append(
        conn,
        incident.id,
        EntryKind.SEVERITY_RAISED,
        at=now,
        text=f"{incident.severity} becomes {severity}: {alert.title} fires"
        + (f"; paging begins anew by policy '{policy.name}'" if unanswered else ""),
        data={"from": incident.severity, "to": severity},
    )
    return Decision.RAISED


async def _open(conn: Conn, outside: Outside, alert: Alert, entry: Entry | None) -> Incident:
    now = outside.clock.now()
    if entry:
        await runbook_revisions.keep(conn, sha256=entry.sha256, path=entry.path, text=entry.text, now=now)
    severity = severity_of(alert, entry)
    kind = kind_of(alert)
    restricted = kind is Kind.SECURITY or alert.name in outside.policies.restricted_alerts
    return await incidents.open_incident(
        conn,
        service=alert.service,
        alertname=alert.name,
        title=entry.alert.title if entry else alert.name,
        severity=severity,
        kind=kind,
        restricted=restricted,
        runbook_sha256=entry.sha256 if entry else None,
        runbook_entry=entry.alert.slug if entry else None,
        alert_labels=alert.labels,
        policy=outside.policies.escalation_for(severity, restricted=restricted).name,
        now=now,
    )


def severity_of(alert: Alert, entry: Entry | None) -> Severity:
    """The rule's label, else the runbook's word, else P0: an alert of unknown weight must wake someone."""
    written = alert.labels.get("severity", "")
    if written in set(Severity):
        return Severity(written)
    if entry and entry.severity:
        return entry.severity
    return Severity.P0


def kind_of(alert: Alert) -> Kind:
    written = alert.labels.get("kind", "")
    return Kind(written) if written in set(Kind) else Kind.SYMPTOM


async def _received(conn: Conn, incident_id: IncidentId, stored: StoredAlert) -> None:
    await timeline.append(
        conn,
        incident_id,
        EntryKind.ALERT_RECEIVED,
        at=stored.received_at,
        text=f"{stored.alert.title} fires: {stored.alert.summary}",
        data={
            "alert": stored.alert.name,
            "fingerprint": stored.alert.fingerprint,
            "labels": dict(stored.alert.labels),
            "started_at": stored.alert.starts_at.isoformat(),
        },
    )


async def _opened(conn: Conn, incident: Incident, entry: Entry | None, *, now: datetime) -> None:
    source = (
        f"runbook {entry.path}, line {entry.alert.line}" if entry else "no runbook entry names this alert"
    )
    await timeline.append(
        conn,
        incident.id,
        EntryKind.INCIDENT_OPENED,
        at=now,
        text=f"{incident.severity} {incident.title} ({source})",
        data={"severity": incident.severity, "runbook": entry.sha256 if entry else None},
    )


async def _prepare(conn: Conn, outside: Outside, incident: Incident, entry: Entry | None) -> None:
    now = outside.clock.now()
    policy = outside.policies.escalation_for(incident.severity, restricted=incident.restricted)
    bound = outside.policies.for_alert(incident.alert_labels)
    steps = plan_steps(entry.alert, bound) if entry else ()
    await evidence.plan(conn, incident.id, steps, now=now)
    for step in steps:
        if not step.runs:
            await timeline.append(
                conn,
                incident.id,
                EntryKind.STEP_NOT_RUN,
                at=now,
                text=f"Step {step.step_number} {step.step_title}: {step.reason}",
                data={"key": step.key, "line": step.line},
            )
    if entry:
        await remediations.plan(conn, incident.id, plan_remediation(entry.alert, bound))
        await deadlines.put(conn, incident.id, process_deadlines(entry, incident.severity, now=now))
    waits = any(step.runs for step in steps)
    first_page = now + policy.wait_for_evidence if waits else now
    await escalations.start(conn, incident.id, policy, due_at=first_page)
    await communicate.announce(conn, outside, incident, UpdateState.INVESTIGATING)


def process_deadlines(entry: Entry, severity: Severity, *, now: datetime) -> Sequence[Deadline]:
    """The runbook's process as deadlines from `now`. The review's clock starts when the incident is resolved."""
    return [
        Deadline(milestone=milestone, limit=stage.limit, due_at=now + stage.limit)
        for stage in entry.process
        if stage.limit and applies(stage.applies_to, severity)
        if (milestone := milestone_named(stage.name)) and milestone is not Milestone.REVIEW
    ]
