"""Blocked networks as they are stored."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from psycopg.rows import DictRow

from chatbot.core.blocks import REMEMBERED, Block
from chatbot.core.client_address import Network
from chatbot.store.db import Conn


async def load_blocks(conn: Conn) -> dict[Network, Block]:
    """All that are remembered, those in force and those that were lifted."""
    cursor = await conn.execute(
        "SELECT network, reason, changed_by, changed_at, expires_at, lifted FROM ip_blocks"
    )
    return {row["network"]: _block(row) for row in await cursor.fetchall()}


async def save_blocks(conn: Conn, blocks: Iterable[Block]) -> None:
    """Keeps each unless a later change of it is stored already."""
    for block in blocks:
        await conn.execute(
            "INSERT INTO ip_blocks (network, reason, changed_by, changed_at, expires_at, lifted)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (network) DO UPDATE SET (reason, changed_by, changed_at,"
            " expires_at, lifted) = (excluded.reason, excluded.changed_by, excluded.changed_at, excluded.expires_at,"
            " excluded.lifted) WHERE ip_blocks.changed_at < excluded.changed_at",
            (
                block.network,
                block.reason,
                block.changed_by,
                block.changed_at,
                block.expires_at,
                block.lifted,
            ),
        )


async def forget_blocks(conn: Conn, now: datetime) -> None:
    """Removes those that ended long ago."""
    await conn.execute("DELETE FROM ip_blocks WHERE expires_at < %s", (now - REMEMBERED,))


def _block(row: DictRow) -> Block:
    return Block(
        network=row["network"],
        reason=row["reason"],
        changed_by=row["changed_by"],
        changed_at=row["changed_at"],
        expires_at=row["expires_at"],
        lifted=row["lifted"],
    )
