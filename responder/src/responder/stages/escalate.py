"""not answered → pages: a due step puts its pages into the outbox and sets the next step, in one transaction."""

from __future__ import annotations

from enum import StrEnum

from responder.core.escalation import position_after
from responder.core.incident import UNANSWERED, Incident, IncidentId
from responder.core.page import page_body, page_key
from responder.core.schedule import Person
from responder.core.timeline import EntryKind
from responder.stages.ports import Outside
from responder.store import alerts, diagnoses, due, escalations, evidence, incidents, pages, timeline
from responder.store.db import Conn
from responder.store.due import Claim
from responder.store.escalations import Escalation
from responder.telemetry import DECISIONS


class Decision(StrEnum):
    PAGED = "paged"
    ANSWERED = "already_answered"


async def run(outside: Outside, claim: Claim) -> None:
    """Fires the step that is due, unless someone has answered."""
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, IncidentId(claim.id), lock=True)
        if incident.status in UNANSWERED:
            current = await escalations.get(conn, claim.id)
            await _tell(conn, outside, incident, current)
            await _fire(conn, outside, incident, current)
            await _advance(conn, claim, incident, current)
            decision = Decision.PAGED
        else:
            await due.finish(conn, escalations.QUEUE, claim)
            decision = Decision.ANSWERED
    DECISIONS.labels(stage="escalate", reason=decision).inc()


async def _tell(conn: Conn, outside: Outside, incident: Incident, current: Escalation) -> None:
    if (current.round, current.step) == (0, 0):
        return  # the first page is no escalation
    await timeline.append(
        conn,
        incident.id,
        EntryKind.ESCALATED,
        at=outside.clock.now(),
        text=f"Nobody has answered: step {current.step + 1} of policy '{current.policy.name}'",
        data={"round": current.round, "step": current.step},
    )


async def _fire(conn: Conn, outside: Outside, incident: Incident, current: Escalation) -> None:
    step = current.policy.steps[current.step]
    people = {person.name: person for person in map(outside.policies.on_call.who, step.notify)}
    for person in people.values():
        for channel in step.channels:
            if (address := person.address(channel)) is not None:
                await _put(conn, outside, incident, current, person=person, channel=channel, address=address)


async def _put(
    conn: Conn,
    outside: Outside,
    incident: Incident,
    current: Escalation,
    *,
    person: Person,
    channel: str,
    address: str,
) -> None:
    fired = await alerts.of_incident(conn, incident.id)
    body = page_body(
        incident,
        step=current.step,
        person=person.name,
        summary=fired[-1].alert.summary if fired else incident.title,
        ack_url=outside.links.acknowledge(incident.name, person.name),
        incident_url=outside.links.incident(incident.name),
        evidence=await evidence.of_incident(conn, incident.id),
        findings=await diagnoses.findings(conn, incident.id),
    )
    key = page_key(incident, round_=current.round, step=current.step, person=person.name, channel=channel)
    await pages.put(
        conn,
        incident.id,
        round_=current.round,
        step=current.step,
        person=person.name,
        channel=channel,
        address=address,
        idempotency_key=key,
        body=body,
        now=outside.clock.now(),
    )


async def _advance(conn: Conn, claim: Claim, incident: Incident, current: Escalation) -> None:
    after = position_after(
        current.policy, started_at=current.round_began, round_=current.round, step=current.step
    )
    if after is None:
        await due.finish(conn, escalations.QUEUE, claim)
        return
    began = current.round_began
    if after.round != current.round:
        began = after.due_at - current.policy.steps[0].after
    await escalations.move(conn, incident.id, after, round_began=began)
    await due.postpone(conn, escalations.QUEUE, claim, due_at=after.due_at, error=None)
