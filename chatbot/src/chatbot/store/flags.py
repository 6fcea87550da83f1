"""Feature flags as they are stored."""

from __future__ import annotations

from psycopg.rows import DictRow

from chatbot.core.flags import KNOWN, Flag
from chatbot.store.db import Conn


async def load_flags(conn: Conn) -> dict[str, Flag]:
    """The flags that were ever set, by name."""
    cursor = await conn.execute("SELECT name, enabled, updated_at, updated_by FROM feature_flags")
    return {row["name"]: _flag(row) for row in await cursor.fetchall()}


async def set_flag(conn: Conn, name: str, *, enabled: bool, by: str) -> tuple[Flag, bool]:
    """The flag after the change, and what it was before. Two at once: the second sees the first's value."""
    # A row with the default first, so that there is one to lock even for a flag that was never set.
    await conn.execute(
        "INSERT INTO feature_flags (name, enabled, updated_by) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (name, KNOWN[name][0], by),
    )
    cursor = await conn.execute("SELECT enabled FROM feature_flags WHERE name = %s FOR UPDATE", (name,))
    before = await cursor.fetchone()
    cursor = await conn.execute(
        "UPDATE feature_flags SET enabled = %s, updated_at = clock_timestamp(), updated_by = %s WHERE name = %s"
        " RETURNING name, enabled, updated_at, updated_by",
        (enabled, by, name),
    )
    after = await cursor.fetchone()
    if before is None or after is None:
        raise LookupError(f"the row of flag {name} is gone although it is locked")
    return _flag(after), before["enabled"]


def _flag(row: DictRow) -> Flag:
    return Flag(
        name=row["name"], enabled=row["enabled"], updated_at=row["updated_at"], updated_by=row["updated_by"]
    )
