"""Members of a tenant. An address is unique within its tenant only: whether another tenant has it does not show."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chatbot.core.caller import Role
from chatbot.core.tenancy import TenantId
from chatbot.errors import Conflict, NotFound
from chatbot.store.db import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member. `password_hash` is None until the invitation was accepted; it is never shown by `repr`."""

    id: UUID
    email: str
    role: Role
    password_hash: str | None = field(repr=False)
    created_at: datetime
    last_sign_in_at: datetime | None


async def add_member(
    conn: Conn, tenant_id: TenantId, *, email: str, role: Role, password_hash: str | None
) -> UUID:
    """A new member's id. Raises Conflict when the tenant has one of that address."""
    try:
        cursor = await conn.execute(
            "INSERT INTO members (tenant_id, email, role, password_hash, password_changed_at)"
            " VALUES (%s, %s, %s, %s, CASE WHEN %s::text IS NULL THEN NULL ELSE now() END) RETURNING id",
            (tenant_id, email, role, password_hash, password_hash),
        )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict(
            f"The tenant has a member {email} already.",
            remedy="Send a new link instead: chatbot member invite --tenant NAME EMAIL.",
        ) from error
    row = await cursor.fetchone()
    return row["id"] if row else UUID(int=0)


async def members_of(conn: Conn, tenant_id: TenantId) -> list[Member]:
    """The tenant's members, by address."""
    cursor = await conn.execute(
        "SELECT id, email, role, password_hash, created_at, last_sign_in_at FROM members"
        " WHERE tenant_id = %s ORDER BY email",
        (tenant_id,),
    )
    return [_member(row) for row in await cursor.fetchall()]


async def find_member(conn: Conn, tenant_id: TenantId, email: str) -> Member | None:
    """The member of that address, None when there is none."""
    cursor = await conn.execute(
        "SELECT id, email, role, password_hash, created_at, last_sign_in_at FROM members"
        " WHERE tenant_id = %s AND email = %s",
        (tenant_id, email),
    )
    row = await cursor.fetchone()
    return _member(row) if row else None


async def member_of_id(conn: Conn, tenant_id: TenantId, member_id: UUID) -> Member:
    """The member, locked until the transaction ends. Raises NotFound."""
    cursor = await conn.execute(
        "SELECT id, email, role, password_hash, created_at, last_sign_in_at FROM members"
        " WHERE tenant_id = %s AND id = %s FOR UPDATE",
        (tenant_id, member_id),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(
            f"The tenant has no member {member_id}.",
            remedy="List them with: chatbot member list --tenant NAME.",
        )
    return _member(row)


async def set_password(conn: Conn, tenant_id: TenantId, member_id: UUID, password_hash: str) -> None:
    """Keeps the hash of a new password."""
    await conn.execute(
        "UPDATE members SET password_hash = %s, password_changed_at = now() WHERE tenant_id = %s AND id = %s",
        (password_hash, tenant_id, member_id),
    )


async def renew_hash(conn: Conn, tenant_id: TenantId, member_id: UUID, *, kept: str, renewed: str) -> None:
    """The same password with today's parameters; nothing, if the password was changed in the meantime."""
    await conn.execute(
        "UPDATE members SET password_hash = %s WHERE tenant_id = %s AND id = %s AND password_hash = %s",
        (renewed, tenant_id, member_id, kept),
    )


async def note_sign_in(conn: Conn, tenant_id: TenantId, member_id: UUID) -> None:
    """Notes when the member last signed in."""
    await conn.execute(
        "UPDATE members SET last_sign_in_at = now() WHERE tenant_id = %s AND id = %s", (tenant_id, member_id)
    )


async def set_role(conn: Conn, tenant_id: TenantId, member_id: UUID, role: Role) -> None:
    """Makes the member an admin, or no longer one."""
    await conn.execute(
        "UPDATE members SET role = %s WHERE tenant_id = %s AND id = %s", (role, tenant_id, member_id)
    )


async def remove_member(conn: Conn, tenant_id: TenantId, member_id: UUID) -> None:
    """Deletes the member, with all sessions and invitations."""
    await conn.execute("DELETE FROM members WHERE tenant_id = %s AND id = %s", (tenant_id, member_id))


def _member(row: DictRow) -> Member:
    return Member(
        id=row["id"],
        email=row["email"],
        role=Role(row["role"]),
        password_hash=row["password_hash"],
        created_at=row["created_at"],
        last_sign_in_at=row["last_sign_in_at"],
    )
