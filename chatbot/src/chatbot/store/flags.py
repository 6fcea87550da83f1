"""Feature flags as they are stored."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg.rows import DictRow

from chatbot.core.flags import KNOWN, Flag
from chatbot.store.db import Conn


async def load_flags(conn: Conn) -> dict[str, Flag]:
    """The flags that were ever set, by name."""
    cursor = await conn.execute("SELECT name, enabled, updated_at, updated_by, message FROM feature_flags")
    return {row["name"]: _flag(row) for row in await cursor.fetchall()}


async def set_flag(conn: Conn, change: Flag) -> tuple[Flag, Flag]:
    """The flag after the change, with the database's time, and what it was. Two at once: the second sees the first's value."""
    default = KNOWN[change.name][0]
    # A row with the default first, so that there is one to lock even for a flag that was never set.
    await conn.execute(
        "INSERT INTO feature_flags (name, enabled, updated_by) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (change.name, default, change.updated_by),
    )
    cursor = await conn.execute(
        "SELECT name, enabled, updated_at, updated_by, message FROM feature_flags WHERE name = %s FOR UPDATE",
        (change.name,),
    )
    before = await cursor.fetchone()
    cursor = await conn.execute(
        "UPDATE feature_flags SET enabled = %s, updated_by = %s, message = %s,"
        " updated_at = greatest(clock_timestamp(), %s, updated_at + interval '1 microsecond') WHERE name = %s"
        " RETURNING name, enabled, updated_at, updated_by, message",
        (change.enabled, change.updated_by, change.message, change.updated_at, change.name),
    )
    after = await cursor.fetchone()
    if before is None or after is None:
        raise LookupError(f"the row of flag {change.name} is gone although it is locked")
    return _flag(after), _flag(before)


async def save_flags(conn: Conn, flags: Iterable[Flag]) -> None:
    """Keeps each, as it was set while this database was away, unless a later change of it is stored."""
    for flag in flags:
        await conn.execute(
            "INSERT INTO feature_flags (name, enabled, updated_at, updated_by, message) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (name) DO UPDATE SET (enabled, updated_at, updated_by, message) ="
            " (excluded.enabled, excluded.updated_at, excluded.updated_by, excluded.message)"
            " WHERE feature_flags.updated_at < excluded.updated_at",
            (flag.name, flag.enabled, flag.updated_at, flag.updated_by, flag.message),
        )


def _flag(row: DictRow) -> Flag:
    return Flag(
        name=row["name"],
        enabled=row["enabled"],
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
        message=row["message"],
    )
