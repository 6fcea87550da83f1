"""Timeline entries. Appending is the only way in, and it locks the incident so that the chain has one order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from responder.core.incident import IncidentId
from responder.core.timeline import FIRST, SYSTEM, Entry, EntryKind, chain_hash
from responder.store.db import Conn, value


async def append(
    conn: Conn,
    incident_id: IncidentId,
    kind: EntryKind,
    *,
    at: datetime,
    text: str,
    actor: str = SYSTEM,
    data: Mapping[str, Any] | None = None,
) -> Entry:
    """Adds an entry in the caller's transaction, together with the change it tells of."""
    await conn.execute("SELECT FROM incidents WHERE id = %s FOR UPDATE", (incident_id,))
    cursor = await conn.execute(
        "SELECT seq, hash FROM timeline WHERE incident_id = %s ORDER BY seq DESC LIMIT 1", (incident_id,)
    )
    last = await cursor.fetchone()
    seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, FIRST)
    body: dict[str, Any] = {
        "previous": previous,
        "incident_id": incident_id,
        "seq": seq,
        "at": at,
        "kind": kind,
        "actor": actor,
        "text": text,
        "data": data or {},
    }
    entry = Entry(**body, hash=chain_hash(**body))
    await conn.execute(
        """
        INSERT INTO timeline (incident_id, seq, at, kind, actor, text, data, previous, hash)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (incident_id, seq, at, kind, actor, text, Jsonb(entry.data), previous, entry.hash),
    )
    return entry


async def entries(conn: Conn, incident_id: IncidentId, *, after: int = 0) -> list[Entry]:
    """The entries with a number above `after`, in order."""
    cursor = await conn.execute(
        "SELECT * FROM timeline WHERE incident_id = %s AND seq > %s ORDER BY seq", (incident_id, after)
    )
    return [_entry(row) for row in await cursor.fetchall()]


def _entry(row: DictRow) -> Entry:
    return value(Entry, row, kind=EntryKind(row["kind"]))
