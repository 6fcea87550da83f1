"""recovery → resolved: the rules have been quiet for the settling time *and* the runbook's own checks pass.

While an alert fires, Prometheus is asked whether it still does: the notice of its end may never come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from responder.core.evidence import Judgement
from responder.core.incident import OPEN, Event, Incident, IncidentId
from responder.core.process import Deadline, Milestone, met_by, milestone_named
from responder.core.remediation import Event as RemediationEvent
from responder.core.remediation import State
from responder.core.status_page import UpdateState
from responder.core.timeline import SYSTEM, EntryKind
from responder.stages import communicate, investigate, missed
from responder.stages.ports import Outside
from responder.store import (
    alerts,
    deadlines,
    due,
    escalations,
    evidence,
    incidents,
    postmortems,
    recoveries,
    remediations,
    timeline,
)
from responder.store.alerts import StoredAlert
from responder.store.db import Conn
from responder.store.due import Claim
from responder.telemetry import DECISIONS


class Decision(StrEnum):
    RESOLVED = "resolved"
    NOT_OPEN = "incident_is_not_open"
    LATCHED = "waits_for_a_person"
    STILL_FIRES = "still_fires"
    ENDED_UNTOLD = "ended_without_notice"
    CHECKS_FAIL = "checks_fail"


async def run(outside: Outside, claim: Claim) -> None:
    """Resolves one incident, or says why not yet and looks again after another settling time."""
    incident_id = IncidentId(claim.id)
    async with outside.database.transaction() as conn:
        firing = await alerts.firing_of(conn, incident_id)
        tasks = await evidence.tasks_of_incident(conn, incident_id)
        outside = outside.for_incident(await incidents.get(conn, incident_id))
    if firing:
        decision = await _ask_prometheus(outside, claim, incident_id, firing)
        DECISIONS.labels(stage="resolve", reason=decision).inc()
        return
    measured = await asyncio.gather(*(investigate.take(outside, task) for task in tasks))
    failing = [
        f"{task.evidence.step_number} {result.verdict.text}"
        for task, result in zip(tasks, measured, strict=True)
        if result.verdict.judgement is Judgement.BAD
    ]
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id, lock=True)
        decision = await _decide(conn, outside, incident, failing)
        if decision is Decision.CHECKS_FAIL:
            await _refuse(conn, outside, claim, incident, failing)
        elif decision is Decision.STILL_FIRES:
            await _again(conn, outside, claim)
        else:
            await due.finish(conn, recoveries.QUEUE, claim)
        if decision is Decision.RESOLVED:
            await _resolve(conn, outside, incident, checks=len(tasks))
    DECISIONS.labels(stage="resolve", reason=decision).inc()


async def _ask_prometheus(
    outside: Outside, claim: Claim, incident_id: IncidentId, firing: Sequence[StoredAlert]
) -> Decision:
    """Ends the alerts that Prometheus has let go of without a notice, and looks again after a settling time."""
    settle = outside.policies.remediation.settle
    ended = [stored for stored in firing if await missed.has_ended(outside, stored.alert, quiet_for=settle)]
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id, lock=True)
        if incident.status not in OPEN or incident.alertname in outside.policies.latched_alerts:
            await due.finish(conn, recoveries.QUEUE, claim)
            return Decision.NOT_OPEN if incident.status not in OPEN else Decision.LATCHED
        now = outside.clock.now()
        for stored in ended:
            await alerts.end(conn, stored.id, now=now)
            text = (
                f"Prometheus has not had {stored.alert.title} for {settle.total_seconds():.0f} s,"
                " and no notice of its end came"
            )
            await timeline.append(conn, incident_id, EntryKind.NOTE, at=now, text=text, data={})
        await _again(conn, outside, claim)
    return Decision.ENDED_UNTOLD if ended else Decision.STILL_FIRES


async def _again(conn: Conn, outside: Outside, claim: Claim) -> None:
    again = outside.clock.now() + outside.policies.remediation.settle
    await due.postpone(conn, recoveries.QUEUE, claim, due_at=again, error=None)


async def _decide(conn: Conn, outside: Outside, incident: Incident, failing: list[str]) -> Decision:
    if incident.status not in OPEN:
        return Decision.NOT_OPEN
    if incident.alertname in outside.policies.latched_alerts:
        return Decision.LATCHED
    if await alerts.still_firing(conn, incident.id):
        return Decision.STILL_FIRES
    return Decision.CHECKS_FAIL if failing else Decision.RESOLVED


async def _refuse(conn: Conn, outside: Outside, claim: Claim, incident: Incident, failing: list[str]) -> None:
    await _again(conn, outside, claim)
    await timeline.append(
        conn,
        incident.id,
        EntryKind.RECOVERY_REFUSED,
        at=outside.clock.now(),
        text=f"The rule is quiet, but not all is well: {'; '.join(failing)}",
        data={"failing": failing},
    )


async def _resolve(conn: Conn, outside: Outside, incident: Incident, *, checks: int) -> None:
    now = outside.clock.now()
    quiet = (now - incident.quiet_since).total_seconds() if incident.quiet_since else 0
    lasted = (now - incident.opened_at).total_seconds()
    text = f"Resolved after {lasted:.0f} s: quiet for {quiet:.0f} s and {checks} checks pass"
    await end(conn, outside, incident, text=text, data={"seconds": round(lasted, 1), "checks": checks})


async def end(
    conn: Conn,
    outside: Outside,
    incident: Incident,
    *,
    text: str,
    data: Mapping[str, Any],
    actor: str = SYSTEM,
) -> Incident:
    """Resolves the incident with all that follows from it: paging, remedies, the status page, the post-mortem."""
    now = outside.clock.now()
    moved = await incidents.change(conn, incident, Event.RESOLVE, now=now)
    await deadlines.meet(conn, incident.id, met_by(moved.status), now=now)
    await _start_review_clock(conn, outside, moved)
    await escalations.stop(conn, incident.id)
    for item in await remediations.of_incident(conn, incident.id):
        if item.state in {State.OFFERED, State.PREVIEWING, State.PREVIEWED, State.APPROVED}:
            await remediations.change(conn, item, RemediationEvent.WITHDRAW, now=now)
    await timeline.append(
        conn, incident.id, EntryKind.INCIDENT_RESOLVED, at=now, actor=actor, text=text, data=data
    )
    await communicate.announce(conn, outside, moved, UpdateState.RESOLVED)
    await postmortems.schedule(conn, incident.id, now=now)
    return moved


async def _start_review_clock(conn: Conn, outside: Outside, incident: Incident) -> None:
    now = outside.clock.now()
    stages = outside.library.process_of(incident.runbook_sha256)
    review = [
        Deadline(milestone=Milestone.REVIEW, limit=stage.limit, due_at=now + stage.limit)
        for stage in stages
        if stage.limit and milestone_named(stage.name) is Milestone.REVIEW
    ]
    await deadlines.put(conn, incident.id, review)
