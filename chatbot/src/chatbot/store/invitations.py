"""One-time links by which a member chooses a password, the first or a new one."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from chatbot.core.credentials import Ticket, same_secret
from chatbot.store.db import Conn


async def add_invitation(
    conn: Conn, ticket: Ticket, member_id: UUID, *, now: datetime, expires_at: datetime
) -> None:
    """Keeps the invitation; those that the member had before are void."""
    await conn.execute(
        "DELETE FROM invitations WHERE tenant_id = %s AND member_id = %s", (ticket.tenant_id, member_id)
    )
    await conn.execute(
        "INSERT INTO invitations (tenant_id, id, member_id, token_hash, created_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (ticket.tenant_id, ticket.row_id, member_id, ticket.hash, now, expires_at),
    )


async def invited_member(conn: Conn, ticket: Ticket, *, now: datetime) -> UUID | None:
    """Whom the invitation is for; None for one that is unknown, used, or too old. Locked until the transaction ends."""
    cursor = await conn.execute(
        "SELECT member_id, token_hash, expires_at, used_at FROM invitations WHERE tenant_id = %s AND id = %s FOR UPDATE",
        (ticket.tenant_id, ticket.row_id),
    )
    row = await cursor.fetchone()
    kept = bytes(row["token_hash"]) if row else bytes(32)
    if not same_secret(ticket.hash, kept) or row is None:
        return None
    if row["used_at"] is not None or row["expires_at"] <= now:
        return None
    return row["member_id"]


async def use_invitation(conn: Conn, ticket: Ticket, *, now: datetime) -> bool:
    """Uses the invitation up; False when it was not good any more."""
    if await invited_member(conn, ticket, now=now) is None:
        return False
    await conn.execute(
        "UPDATE invitations SET used_at = %s WHERE tenant_id = %s AND id = %s",
        (now, ticket.tenant_id, ticket.row_id),
    )
    return True
