"""The look at a recovery: due a settling time after an alert joined, again while it fires, and after it went quiet."""

from __future__ import annotations

from datetime import datetime, timedelta

from responder.core.incident import IncidentId
from responder.store.db import Conn
from responder.store.due import Queue

QUEUE = Queue(table="recoveries", lease=timedelta(seconds=60))


async def schedule(conn: Conn, incident_id: IncidentId, *, due_at: datetime) -> None:
    await conn.execute(
        "INSERT INTO recoveries (id, due_at) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at",
        (incident_id, due_at),
    )


async def cancel(conn: Conn, incident_id: IncidentId) -> None:
    await conn.execute("UPDATE recoveries SET due_at = NULL WHERE id = %s", (incident_id,))
