"""What a person does with an incident: acknowledge, assess, mitigate, close, note, preview and approve a remedy.

Every one is a transaction that moves a state by its table and writes who did it into the timeline.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from responder.core.ask import Ask, problems
from responder.core.incident import UNANSWERED, Event, Incident, IncidentId, Severity, events_possible
from responder.core.process import met_by
from responder.core.remediation import Event as RemediationEvent
from responder.core.remediation import Remediation, texts_of
from responder.core.status_page import UpdateState
from responder.core.timeline import EntryKind
from responder.errors import BadAnswers, BadPayload, Conflict
from responder.stages import communicate, resolve
from responder.stages.ports import Outside
from responder.store import alerts, deadlines, escalations, incidents, recoveries, remediations, timeline
from responder.store.db import Conn
from responder.store.remediations import Note

NOTE_LIMIT = 4_000


async def acknowledge(outside: Outside, incident_id: IncidentId, *, person: str) -> Incident:
    """Stops the paging; the first to answer becomes commander. Acknowledging twice changes nothing."""
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id, lock=True)
        if incident.status not in UNANSWERED:
            return incident
        incident = await _move(conn, outside, incident, Event.ACKNOWLEDGE)
        await escalations.stop(conn, incident_id)
        await incidents.set_commander(conn, incident_id, person)
        await _tell(conn, outside, incident_id, EntryKind.ACKNOWLEDGED, person, "has it; paging stops")
        return await incidents.get(conn, incident_id)


async def assess(
    outside: Outside, incident_id: IncidentId, *, person: str, severity: Severity, text: str = ""
) -> Incident:
    """Records what a person judged the severity to be. Raises IllegalTransition before it is acknowledged."""
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id, lock=True)
        moved = await _move(conn, outside, incident, Event.ASSESS)
        if severity != incident.severity:
            moved = await incidents.set_severity(conn, incident_id, severity)
        changed = "confirms" if severity == incident.severity else f"changes {incident.severity} to"
        await _tell(
            conn, outside, incident_id, EntryKind.ASSESSED, person, f"{changed} {severity}. {text}".strip()
        )
        await communicate.announce(conn, outside, moved, UpdateState.IDENTIFIED)
        return moved


async def mitigate(outside: Outside, incident_id: IncidentId, *, person: str, text: str) -> Incident:
    """Records that users are no longer hurt, by something done outside of this program."""
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id, lock=True)
        return await mitigated(conn, outside, incident, person=person, text=text)


async def mitigated(conn: Conn, outside: Outside, incident: Incident, *, person: str, text: str) -> Incident:
    """The same inside the caller's transaction."""
    moved = await _move(conn, outside, incident, Event.MITIGATE)
    await _tell(conn, outside, incident.id, EntryKind.MITIGATED, person, text)
    await communicate.announce(conn, outside, moved, UpdateState.MONITORING)
    return moved


async def close(outside: Outside, incident_id: IncidentId, *, person: str, text: str) -> Incident:
    """Resolves the incident because a person says so, with the reason. What is latched ends in no other way.

    Raises BadPayload without a reason, Conflict while a rule fires that will say by itself when it is over.
    """
    reason = _words(text, "A reason for closing")
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id, lock=True)
        latched = incident.alertname in outside.policies.latched_alerts
        firing = await alerts.still_firing(conn, incident_id)
        if firing and not latched:
            raise Conflict(
                f"{firing} {'alert of it fires' if firing == 1 else 'alerts of it fire'} still;"
                f" {incident.name} ends when the rule is quiet and the checks pass. Nothing was changed."
            )
        now = outside.clock.now()
        await alerts.end_of_incident(conn, incident_id, now=now)
        await recoveries.cancel(conn, incident_id)
        return await resolve.end(
            conn,
            outside,
            incident,
            text=f"{person.capitalize()} closes it: {outside.policies.bindings.redact(reason)}",
            data={"seconds": round((now - incident.opened_at).total_seconds(), 1), "latched": latched},
            actor=person,
        )


async def note(outside: Outside, incident_id: IncidentId, *, person: str, text: str) -> None:
    """Adds a person's words to the timeline. Raises BadPayload when there are none or too many."""
    words = _words(text, "A note")
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id)
        await _tell(
            conn, outside, incident.id, EntryKind.NOTE, person, outside.policies.bindings.redact(words)
        )


def asks_of(outside: Outside, item: Remediation) -> tuple[Ask, ...]:
    """What the person must be asked before the remedy can be looked at."""
    return outside.policies.bindings.asked_in(texts_of(item.requests))


async def ask_preview(
    outside: Outside,
    incident_id: IncidentId,
    remediation_id: int,
    *,
    person: str,
    inputs: Mapping[str, str],
) -> Remediation:
    """Has the worker look at what the remedy would change. `inputs` answers all that it asks, by name, and nothing else.

    Raises Conflict for one that only a person can do, BadAnswers for inputs that are not taken.
    """
    async with outside.database.transaction() as conn:
        await incidents.get(conn, incident_id, lock=True)
        item = await remediations.get(conn, remediation_id, incident_id=incident_id)
        if not item.runnable:
            raise Conflict(f"This remedy cannot be run from here: {item.reason}")
        if wrong := problems(asks_of(outside, item), inputs):
            raise BadAnswers(wrong)
        return await remediations.change(
            conn,
            item,
            RemediationEvent.ASK_PREVIEW,
            now=outside.clock.now(),
            note=Note(result={"asked_by": person}, inputs=inputs),
        )


async def approve(
    outside: Outside, incident_id: IncidentId, remediation_id: int, *, person: str, digest: str
) -> Remediation:
    """Lets the remedy run once. `digest` is that of the preview the person saw.

    Raises Conflict when the preview is another one or too old, IllegalTransition when there is none.
    """
    now = outside.clock.now()
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id, lock=True)
        item = await remediations.get(conn, remediation_id, incident_id=incident_id)
        if item.digest is not None and not hmac.compare_digest(item.digest, digest):
            raise Conflict(
                "What you approve is not what was previewed last. Look at the new preview, then decide."
            )
        if problems(asks_of(outside, item), item.inputs):
            raise Conflict(
                "The preview was made without all that the remedy asks, or with more. Look again, and answer it."
            )
        if item.expires_at is not None and item.expires_at <= now:
            raise Conflict("The preview is too old to decide on. Ask for a new one.")
        item = await remediations.change(
            conn, item, RemediationEvent.APPROVE, now=now, note=Note(approved_by=person)
        )
        await _tell(
            conn, outside, incident_id, EntryKind.REMEDIATION_APPROVED, person,
            f"approves: {item.label}{_with(item.inputs)}", data={"remediation": item.id, "digest": digest},
        )  # fmt: skip
        if Event.ASSESS in events_possible(incident):
            # Deciding on a remedy is an assessment: the severity stands as declared.
            moved = await _move(conn, outside, incident, Event.ASSESS)
            await _tell(
                conn,
                outside,
                incident_id,
                EntryKind.ASSESSED,
                person,
                f"confirms {moved.severity} by deciding",
            )
            await communicate.announce(conn, outside, moved, UpdateState.IDENTIFIED)
        return item


def _with(inputs: Mapping[str, str]) -> str:
    return f", with {', '.join(f'{name} = {value}' for name, value in inputs.items())}" if inputs else ""


async def undo(outside: Outside, incident_id: IncidentId, remediation_id: int, *, person: str) -> Remediation:
    """Has the worker take the change back."""
    async with outside.database.transaction() as conn:
        await incidents.get(conn, incident_id, lock=True)
        item = await remediations.get(conn, remediation_id, incident_id=incident_id)
        item = await remediations.change(conn, item, RemediationEvent.UNDO, now=outside.clock.now())
        await _tell(
            conn, outside, incident_id, EntryKind.NOTE, person, f"asks to undo: {item.label}",
            data={"remediation": item.id},
        )  # fmt: skip
        return item


def _words(text: str, what: str) -> str:
    words = text.strip()
    if not words or len(words) > NOTE_LIMIT:
        raise BadPayload(f"{what} has 1 to {NOTE_LIMIT} characters; this one has {len(words)}.")
    return words


async def _move(conn: Conn, outside: Outside, incident: Incident, event: Event) -> Incident:
    now = outside.clock.now()
    moved = await incidents.change(conn, incident, event, now=now)
    await deadlines.meet(conn, incident.id, met_by(moved.status), now=now)
    return moved


async def _tell(
    conn: Conn,
    outside: Outside,
    incident_id: IncidentId,
    kind: EntryKind,
    person: str,
    text: str,
    *,
    data: dict[str, object] | None = None,
) -> None:
    at = outside.clock.now()
    await timeline.append(
        conn, incident_id, kind, at=at, actor=person, text=f"{person.capitalize()} {text}", data=data
    )
