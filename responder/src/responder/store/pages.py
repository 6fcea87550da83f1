"""Pages: the outbox of what must reach a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from responder.core.incident import IncidentId
from responder.core.page import Page, PageState
from responder.store.db import Conn, one, value
from responder.store.due import Queue

QUEUE = Queue(table="pages", lease=timedelta(seconds=20))


async def put(
    conn: Conn,
    incident_id: IncidentId,
    *,
    round_: int,
    step: int,
    person: str,
    channel: str,
    address: str,
    idempotency_key: str,
    body: Mapping[str, Any],
    now: datetime,
) -> None:
    """Puts a page into the outbox, due at once. Putting the same one twice changes nothing."""
    await conn.execute(
        """
        INSERT INTO pages (incident_id, round, step, person, channel, address, idempotency_key, body, state,
                           created_at, due_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'due', %s, %s)
        ON CONFLICT DO NOTHING
        """,
        (incident_id, round_, step, person, channel, address, idempotency_key, Jsonb(body), now, now),
    )


async def get(conn: Conn, page_id: int) -> Page:
    cursor = await conn.execute("SELECT * FROM pages WHERE id = %s", (page_id,))
    return _page(one(await cursor.fetchone()))


async def of_incident(conn: Conn, incident_id: IncidentId) -> list[Page]:
    cursor = await conn.execute("SELECT * FROM pages WHERE incident_id = %s ORDER BY id", (incident_id,))
    return [_page(row) for row in await cursor.fetchall()]


async def was_paged(conn: Conn, incident_id: IncidentId, person: str) -> bool:
    """Whether a page of the incident was ever meant for the person."""
    cursor = await conn.execute(
        "SELECT FROM pages WHERE incident_id = %s AND person = %s LIMIT 1", (incident_id, person)
    )
    return await cursor.fetchone() is not None


async def close(conn: Conn, page: Page, state: PageState, *, now: datetime) -> None:
    """Ends a page: sent, failed for good, or withdrawn. The caller ends its claim in the same transaction."""
    await conn.execute(
        "UPDATE pages SET state = %s, sent_at = %s, due_at = NULL WHERE id = %s",
        (state, now if state is PageState.SENT else None, page.id),
    )


def _page(row: DictRow) -> Page:
    return value(Page, row, state=PageState(row["state"]))
