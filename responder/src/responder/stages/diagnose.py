"""evidence → findings: claims about the cause, each citing what was measured; then the page need not wait longer."""

from __future__ import annotations

from responder.core.finding import draw_findings
from responder.core.incident import IncidentId
from responder.core.timeline import EntryKind
from responder.stages.ports import Outside
from responder.store import diagnoses, due, escalations, evidence, incidents, timeline
from responder.store.due import Claim


async def run(outside: Outside, claim: Claim) -> None:
    """Draws the findings of one incident from all of its evidence."""
    incident_id = IncidentId(claim.id)
    now = outside.clock.now()
    async with outside.database.transaction() as conn:
        await incidents.get(conn, incident_id, lock=True)
        found = draw_findings(await evidence.of_incident(conn, incident_id))
        for finding in await diagnoses.record(conn, incident_id, found):
            await timeline.append(
                conn,
                incident_id,
                EntryKind.FINDING_RECORDED,
                at=now,
                text=f"{finding.claim} ({finding.confidence})",
                data={"cites": list(finding.cites), "component": finding.component},
            )
        await due.finish(conn, diagnoses.QUEUE, claim)
        await escalations.hurry_first(conn, incident_id, now=now)
