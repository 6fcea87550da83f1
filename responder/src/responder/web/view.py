"""What a page or a program is shown of an incident, read in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from responder.core.ask import Ask
from responder.core.evidence import Evidence
from responder.core.finding import Finding
from responder.core.incident import Incident, IncidentId
from responder.core.page import Page
from responder.core.remediation import Remediation, RemediationId
from responder.core.schedule import Person
from responder.core.status_page import StatusUpdate
from responder.core.timeline import Entry
from responder.errors import NotFound
from responder.stages.answer import asks_of
from responder.stages.ports import Outside
from responder.store import (
    alerts,
    deadlines,
    diagnoses,
    evidence,
    incidents,
    pages,
    remediations,
    runbook_revisions,
    status_updates,
    timeline,
)
from responder.store.alerts import StoredAlert
from responder.store.deadlines import StoredDeadline

# Who may see every incident of a restricted kind. Whoever was paged for one may see that one: a page must lead somewhere.
SECURITY_ROLE = "security"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    incident: Incident
    alerts: Sequence[StoredAlert]
    evidence: Sequence[Evidence]
    findings: Sequence[Finding]
    remediations: Sequence[Remediation]
    asks: Mapping[RemediationId, tuple[Ask, ...]]
    pages: Sequence[Page]
    deadlines: Sequence[StoredDeadline]
    updates: Sequence[StatusUpdate]
    timeline: Sequence[Entry]
    runbook: str | None


async def incidents_for(outside: Outside, person: Person, *, limit: int) -> list[Incident]:
    """The incidents that `person` may see, open ones first."""
    paged = None if _has_security_role(outside, person) else person.name
    async with outside.database.transaction() as conn:
        return await incidents.newest(conn, limit=limit, paged=paged)


async def incident_for(outside: Outside, incident_id: IncidentId, person: Person) -> Incident:
    """The incident, if `person` may see it. Raises NotFound, the same for what is hidden as for what is not there."""
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id)
        hidden = (
            incident.restricted
            and not _has_security_role(outside, person)
            and not await pages.was_paged(conn, incident_id, person.name)
        )
    if hidden:
        raise NotFound(f"There is no incident {incident.name}.")
    return incident


def _has_security_role(outside: Outside, person: Person) -> bool:
    return outside.policies.on_call.roles.get(SECURITY_ROLE) == person.name


async def view(outside: Outside, incident_id: IncidentId, person: Person) -> View:
    """Everything of one incident. Raises NotFound."""
    await incident_for(outside, incident_id, person)
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id)
        sha256 = incident.runbook_sha256
        remedies = await remediations.of_incident(conn, incident_id)
        return View(
            incident=incident,
            runbook=await runbook_revisions.text_of(conn, sha256) if sha256 else None,
            alerts=await alerts.of_incident(conn, incident_id),
            evidence=await evidence.of_incident(conn, incident_id),
            findings=await diagnoses.findings(conn, incident_id),
            remediations=remedies,
            asks={item.id: asks_of(outside, item) for item in remedies},
            pages=await pages.of_incident(conn, incident_id),
            deadlines=await deadlines.of_incident(conn, incident_id),
            updates=await status_updates.of_incident(conn, incident_id),
            timeline=await timeline.entries(conn, incident_id),
        )


def incident_json(incident: Incident) -> dict[str, Any]:
    return {**asdict(incident), "name": incident.name}


def entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "kind": entry.kind,
        "actor": entry.actor,
        "text": entry.text,
        "data": dict(entry.data),
    }


def view_json(shown: View) -> dict[str, Any]:
    """The incident as JSON. A page's body is left out: it holds the person's link."""
    return {
        "incident": incident_json(shown.incident),
        "alerts": [{**asdict(a.alert), "received_at": a.received_at} for a in shown.alerts],
        "evidence": [asdict(item) for item in shown.evidence],
        "findings": [asdict(item) for item in shown.findings],
        "remediations": [_remediation(item, shown.asks[item.id]) for item in shown.remediations],
        "pages": [_page(item) for item in shown.pages],
        "deadlines": [{**asdict(d), "limit": d.limit.total_seconds()} for d in shown.deadlines],
        "status_updates": [asdict(item) for item in shown.updates],
    }


def _page(item: Page) -> dict[str, Any]:
    hidden = {"body"}
    return {name: value for name, value in asdict(item).items() if name not in hidden}


def _remediation(item: Remediation, asks: Sequence[Ask]) -> dict[str, Any]:
    hidden = {"requests"}
    shown = {name: value for name, value in asdict(item).items() if name not in hidden}
    return {
        **shown,
        "asks": [{"name": a.name, "prompt": a.prompt, "pattern": a.pattern.pattern} for a in asks],
    }
