"""incident → the public: updates are written with the change they tell of, and published as files that need nothing else."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from responder.core.incident import Incident
from responder.core.status_page import StatusUpdate, UpdateState, belongs_on_page, wording
from responder.core.timeline import EntryKind
from responder.stages import status_files
from responder.stages.ports import Outside
from responder.store import due, incidents, status_updates, timeline
from responder.store.db import Conn
from responder.store.due import Claim

# How far back the page's history reaches.
HISTORY = timedelta(days=14)


async def announce(conn: Conn, outside: Outside, incident: Incident, state: UpdateState) -> None:
    """Writes an update in the caller's transaction, if the incident belongs on the page. Words come from the policy."""
    page = outside.policies.status_page
    component = page.component_for(incident.alertname)
    if component is None or not belongs_on_page(incident):
        return
    templates = outside.library.templates or page.templates
    update = StatusUpdate(
        incident_id=incident.id,
        state=state,
        component=component.name,
        body=wording(templates[state], component=component),
        created_at=outside.clock.now(),
    )
    await status_updates.put(conn, update, publish=page.auto_publish)


async def run(outside: Outside, claim: Claim) -> None:
    """Publishes one update: renders the whole page anew and switches to it in one step."""
    now = outside.clock.now()
    async with outside.database.transaction() as conn:
        update = await status_updates.get(conn, claim.id)
        shown = await status_updates.public(conn, since=now - HISTORY)
    files = status_files.render(outside.policies.status_page, shown, now=now)
    await asyncio.to_thread(status_files.switch, outside.status_dir, files, now=now)
    async with outside.database.transaction() as conn:
        await incidents.get(conn, update.incident_id, lock=True)
        await status_updates.mark_published(conn, claim.id, now=now)
        await due.finish(conn, status_updates.QUEUE, claim)
        await timeline.append(
            conn,
            update.incident_id,
            EntryKind.STATUS_PUBLISHED,
            at=now,
            text=f"Status page: [{update.state.capitalize()}] {update.body}",
            data={"state": update.state, "component": update.component},
        )
