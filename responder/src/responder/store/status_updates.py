"""What the status page says, an outbox: written with the change it tells of, published by a stage."""

from __future__ import annotations

from datetime import datetime, timedelta

from psycopg.rows import DictRow

from responder.core.incident import IncidentId
from responder.core.status_page import StatusUpdate, UpdateState
from responder.store.db import Conn, one, value
from responder.store.due import Queue

QUEUE = Queue(table="status_updates", lease=timedelta(seconds=30))


async def put(conn: Conn, update: StatusUpdate, *, publish: bool) -> None:
    """Writes an update; with `publish` it goes out at once, else it waits for a person."""
    await conn.execute(
        """
        INSERT INTO status_updates (incident_id, state, component, body, created_at, due_at)
        VALUES (%s, %s, %s, %s, %s, %s)
        """,
        (
            update.incident_id,
            update.state,
            update.component,
            update.body,
            update.created_at,
            update.created_at if publish else None,
        ),
    )


async def get(conn: Conn, update_id: int) -> StatusUpdate:
    cursor = await conn.execute("SELECT * FROM status_updates WHERE id = %s", (update_id,))
    return _update(one(await cursor.fetchone()))


async def mark_published(conn: Conn, update_id: int, *, now: datetime) -> None:
    await conn.execute("UPDATE status_updates SET published_at = %s WHERE id = %s", (now, update_id))


async def of_incident(conn: Conn, incident_id: IncidentId) -> list[StatusUpdate]:
    cursor = await conn.execute(
        "SELECT * FROM status_updates WHERE incident_id = %s ORDER BY id", (incident_id,)
    )
    return [_update(row) for row in await cursor.fetchall()]


async def public(conn: Conn, *, since: datetime) -> list[StatusUpdate]:
    """What the page shows: every update that is out or on its way out, of the incidents open or opened after `since`."""
    cursor = await conn.execute(
        """
        SELECT u.* FROM status_updates u JOIN incidents i ON i.id = u.incident_id
        WHERE NOT i.restricted AND (u.published_at IS NOT NULL OR u.due_at IS NOT NULL)
          AND (i.status NOT IN ('resolved', 'reviewed') OR i.opened_at > %s)
        ORDER BY u.incident_id DESC, u.id DESC
        """,
        (since,),
    )
    return [_update(row) for row in await cursor.fetchall()]


def _update(row: DictRow) -> StatusUpdate:
    return value(StatusUpdate, row, state=UpdateState(row["state"]))
