"""The runbooks as they were when an incident opened: later edits govern later incidents."""

from __future__ import annotations

from datetime import datetime

from responder.store.db import Conn


async def keep(conn: Conn, *, sha256: str, path: str, text: str, now: datetime) -> None:
    await conn.execute(
        """
        INSERT INTO runbook_revisions (sha256, path, text, read_at) VALUES (%s, %s, %s, %s)
        ON CONFLICT (sha256) DO NOTHING
        """,
        (sha256, path, text, now),
    )


async def text_of(conn: Conn, sha256: str) -> str | None:
    cursor = await conn.execute("SELECT text FROM runbook_revisions WHERE sha256 = %s", (sha256,))
    row = await cursor.fetchone()
    return row["text"] if row else None
