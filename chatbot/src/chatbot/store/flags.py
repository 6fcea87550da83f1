"""Feature flags."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chatbot.errors import NotFound
from chatbot.store.db import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    name: str
    enabled: bool
    updated_at: datetime
    updated_by: str


async def every(conn: Conn) -> list[Flag]:
    cursor = await conn.execute(
        "SELECT name, enabled, updated_at, updated_by FROM feature_flags ORDER BY name"
    )
    return [Flag(**row) for row in await cursor.fetchall()]


async def get(conn: Conn, name: str) -> Flag:
    """Raises NotFound, naming the flags there are."""
    flags = await every(conn)
    found = next((flag for flag in flags if flag.name == name), None)
    if found is None:
        raise NotFound(f"There is no flag '{name}'. There are: {', '.join(flag.name for flag in flags)}.")
    return found


async def switch(conn: Conn, name: str, *, enabled: bool, by: str) -> None:
    await conn.execute(
        "UPDATE feature_flags SET enabled = %s, updated_by = %s, updated_at = now() WHERE name = %s",
        (enabled, by, name),
    )
