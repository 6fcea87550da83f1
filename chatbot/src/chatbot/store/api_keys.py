"""Keys of a tenant's servers. The text of a key is nowhere; what is kept is its hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatbot.core.tenancy import ApiKey, Tenant, TenantId, key_hash
from chatbot.errors import NotFound
from chatbot.store.db import Conn, Database


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key as it is listed: by its prefix."""

    prefix: str
    name: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOwner:
    """The tenant of a key, and whether either is still good."""

    tenant: Tenant
    suspended_reason: str | None
    key_id: UUID
    prefix: str
    revoked_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None


async def add_key(
    conn: Conn, tenant_id: TenantId, key: ApiKey, *, name: str, by: str, expires_at: datetime | None
) -> None:
    """Keeps the key's hash."""
    await conn.execute(
        "INSERT INTO api_keys (tenant_id, prefix, key_hash, name, created_by, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (tenant_id, key.prefix, key_hash(key.text), name, by, expires_at),
    )


async def owner_of_key(db: Database, text: str) -> KeyOwner | None:
    """Whose key it is, revoked and expired ones too; None when it is nobody's."""
    async with db.system() as conn:
        row = await (await conn.execute("SELECT * FROM tenant_of_key(%s)", (key_hash(text),))).fetchone()
    if row is None:
        return None
    return KeyOwner(
        tenant=Tenant(tenant_id=TenantId(row["tenant_id"]), name=row["name"]),
        suspended_reason=row["suspended_reason"],
        key_id=row["key_id"],
        prefix=row["prefix"],
        revoked_at=row["revoked_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
    )


async def note_use(conn: Conn, tenant_id: TenantId, key_id: UUID, *, at: datetime) -> None:
    """Notes when the key was last used."""
    await conn.execute(
        "UPDATE api_keys SET last_used_at = %s WHERE tenant_id = %s AND id = %s", (at, tenant_id, key_id)
    )


async def keys_of(conn: Conn, tenant_id: TenantId) -> list[KeyRow]:
    """The tenant's keys, the oldest first."""
    cursor = await conn.execute(
        "SELECT prefix, name, created_by, created_at, expires_at, last_used_at, revoked_at FROM api_keys"
        " WHERE tenant_id = %s ORDER BY created_at, prefix",
        (tenant_id,),
    )
    return [KeyRow(**row) for row in await cursor.fetchall()]


async def revoke_key(conn: Conn, tenant_id: TenantId, prefix: str) -> bool:
    """Ends the key for good. False when it was revoked already. Raises NotFound."""
    cursor = await conn.execute(
        "SELECT revoked_at FROM api_keys WHERE tenant_id = %s AND prefix = %s FOR UPDATE", (tenant_id, prefix)
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(
            f"The tenant has no key with the prefix '{prefix[:20]}'.",
            remedy="List them with: chatbot key list --tenant NAME.",
        )
    await conn.execute(
        "UPDATE api_keys SET revoked_at = now() WHERE tenant_id = %s AND prefix = %s AND revoked_at IS NULL",
        (tenant_id, prefix),
    )
    return row["revoked_at"] is None
