"""Post-mortem drafts: due when an incident is resolved."""

from __future__ import annotations

from datetime import datetime, timedelta

from responder.core.incident import IncidentId, incident_name
from responder.errors import NotFound
from responder.store.db import Conn
from responder.store.due import Queue

QUEUE = Queue(table="postmortems", lease=timedelta(seconds=30))


async def schedule(conn: Conn, incident_id: IncidentId, *, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO postmortems (id, due_at) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at",
        (incident_id, now),
    )


async def write(conn: Conn, incident_id: IncidentId, markdown: str, *, now: datetime) -> None:
    await conn.execute(
        "UPDATE postmortems SET markdown = %s, written_at = %s WHERE id = %s", (markdown, now, incident_id)
    )


async def get(conn: Conn, incident_id: IncidentId) -> str:
    """The draft's Markdown. Raises NotFound while there is none."""
    cursor = await conn.execute("SELECT markdown FROM postmortems WHERE id = %s", (incident_id,))
    row = await cursor.fetchone()
    if row is None or row["markdown"] is None:
        raise NotFound(
            f"{incident_name(incident_id)} has no post-mortem yet: it is drafted when the incident is resolved."
        )
    return row["markdown"]
