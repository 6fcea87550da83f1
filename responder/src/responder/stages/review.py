"""resolved → post-mortem: a draft from the timeline, with what only people can know left open and marked."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from responder.core.incident import IncidentId
from responder.core.postmortem import Record, draft
from responder.core.timeline import EntryKind
from responder.stages.ports import Outside
from responder.store import (
    alerts,
    deadlines,
    diagnoses,
    due,
    evidence,
    incidents,
    pages,
    postmortems,
    remediations,
    timeline,
)
from responder.store.due import Claim


async def run(outside: Outside, claim: Claim) -> None:
    """Writes the draft of one incident, into the database and as a Markdown file."""
    incident_id = IncidentId(claim.id)
    async with outside.database.transaction() as conn:
        record = Record(
            incident=await incidents.get(conn, incident_id),
            alerts=[stored.alert for stored in await alerts.of_incident(conn, incident_id)],
            timeline=await timeline.entries(conn, incident_id),
            evidence=await evidence.of_incident(conn, incident_id),
            findings=await diagnoses.findings(conn, incident_id),
            remediations=await remediations.of_incident(conn, incident_id),
            pages=await pages.of_incident(conn, incident_id),
            missed=[
                (stored.milestone, stored.limit)
                for stored in await deadlines.of_incident(conn, incident_id)
                if stored.missed_at is not None
            ],
        )
    markdown = outside.policies.bindings.redact(draft(record))
    path = outside.postmortem_dir / f"{record.incident.name}.md"
    await asyncio.to_thread(_write, path, markdown)
    now = outside.clock.now()
    async with outside.database.transaction() as conn:
        await incidents.get(conn, incident_id, lock=True)
        await postmortems.write(conn, incident_id, markdown, now=now)
        await due.finish(conn, postmortems.QUEUE, claim)
        await timeline.append(
            conn,
            incident_id,
            EntryKind.POSTMORTEM_WRITTEN,
            at=now,
            text=f"Post-mortem drafted: {path.name}; root cause and action items are for people to write",
            data={"file": path.name},
        )


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".md.new")
    half.write_text(text, encoding="utf-8")
    os.replace(half, path)
