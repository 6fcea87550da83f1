"""deadline → timeline: a milestone of the process that has passed unmet is written down, where everyone sees it."""

from __future__ import annotations

from responder.core.process import met_by
from responder.core.timeline import EntryKind
from responder.stages.ports import Outside
from responder.store import deadlines, due, incidents, timeline
from responder.store.due import Claim


async def run(outside: Outside, claim: Claim) -> None:
    """Records one deadline as missed, unless it was met meanwhile."""
    now = outside.clock.now()
    async with outside.database.transaction() as conn:
        deadline = await deadlines.get(conn, claim.id)
        incident = await incidents.get(conn, deadline.incident_id, lock=True)
        if deadline.milestone not in met_by(incident.status) and deadline.met_at is None:
            await deadlines.miss(conn, claim.id, now=now)
            minutes = deadline.limit.total_seconds() / 60
            await timeline.append(
                conn,
                incident.id,
                EntryKind.DEADLINE_MISSED,
                at=now,
                text=f"Not yet: {deadline.milestone}. The runbook allows {minutes:g} min.",
                data={"milestone": deadline.milestone, "limit_seconds": deadline.limit.total_seconds()},
            )
        await due.finish(conn, deadlines.QUEUE, claim)
