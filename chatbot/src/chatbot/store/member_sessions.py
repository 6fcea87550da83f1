"""Sessions of members. A session row that is gone or revoked ends every token that names it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from chatbot.core.caller import Role
from chatbot.core.tenancy import TenantId
from chatbot.store.db import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSession:
    """A session with its member and whether the tenant is open. The hashes are never shown by `repr`."""

    id: UUID
    member_id: UUID
    role: Role
    expires_at: datetime
    revoked_at: datetime | None
    suspended_reason: str | None
    tenant_name: str
    refresh_hash: bytes = field(repr=False)
    previous_refresh_hash: bytes | None = field(repr=False)


async def begin_session(
    conn: Conn,
    tenant_id: TenantId,
    member_id: UUID,
    *,
    session_id: UUID,
    refresh_hash: bytes,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Keeps a new session."""
    await conn.execute(
        "INSERT INTO member_sessions (tenant_id, id, member_id, refresh_hash, created_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (tenant_id, session_id, member_id, refresh_hash, now, expires_at),
    )


async def find_session(
    conn: Conn, tenant_id: TenantId, session_id: UUID, *, lock: bool = False
) -> MemberSession | None:
    """The session, ended ones too; None when there is none. `lock` keeps others from it until the transaction ends."""
    statement = (
        "SELECT s.id, s.member_id, m.role, s.expires_at, s.revoked_at, s.refresh_hash, s.previous_refresh_hash,"
        " t.suspended_reason, t.name AS tenant_name"
        " FROM member_sessions s JOIN members m ON m.tenant_id = s.tenant_id AND m.id = s.member_id"
        " JOIN tenants t ON t.id = s.tenant_id"
        " WHERE s.tenant_id = %(tenant)s AND m.tenant_id = %(tenant)s AND t.id = %(tenant)s AND s.id = %(session)s"
    )
    locked = " FOR UPDATE OF s" if lock else ""
    cursor = await conn.execute(statement + locked, {"tenant": tenant_id, "session": session_id})
    row = await cursor.fetchone()
    if row is None:
        return None
    role = Role(row.pop("role"))
    return MemberSession(**row, role=role)


async def renew_session(conn: Conn, tenant_id: TenantId, session_id: UUID, *, refresh_hash: bytes) -> None:
    """Takes the next refresh token; the one before is used up, and known as such."""
    await conn.execute(
        "UPDATE member_sessions SET previous_refresh_hash = refresh_hash, refresh_hash = %s"
        " WHERE tenant_id = %s AND id = %s",
        (refresh_hash, tenant_id, session_id),
    )


async def revoke_session(conn: Conn, tenant_id: TenantId, session_id: UUID) -> bool:
    """Ends the session. False when it had ended already."""
    cursor = await conn.execute(
        "UPDATE member_sessions SET revoked_at = now() WHERE tenant_id = %s AND id = %s AND revoked_at IS NULL",
        (tenant_id, session_id),
    )
    return cursor.rowcount == 1


async def revoke_sessions(
    conn: Conn, tenant_id: TenantId, member_id: UUID, *, but: UUID | None = None
) -> int:
    """Ends the member's sessions, all of them or all but one. Returns how many."""
    cursor = await conn.execute(
        "UPDATE member_sessions SET revoked_at = now()"
        " WHERE tenant_id = %s AND member_id = %s AND revoked_at IS NULL AND id IS DISTINCT FROM %s",
        (tenant_id, member_id, but),
    )
    return cursor.rowcount


async def forget_ended_sessions(conn: Conn, tenant_id: TenantId, member_id: UUID, *, now: datetime) -> None:
    """Deletes what expired: called when the member signs in, so that the rows do not pile up."""
    await conn.execute(
        "DELETE FROM member_sessions WHERE tenant_id = %s AND member_id = %s AND expires_at <= %s",
        (tenant_id, member_id, now),
    )
