"""Publishable keys of widgets, and the origins of the pages that may embed them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatbot.core.tenancy import Tenant, TenantId
from chatbot.errors import NotFound
from chatbot.store.db import Conn, Database


@dataclass(frozen=True, slots=True, kw_only=True)
class WidgetKeyRow:
    """A key as it is listed. It is public, so it is shown whole."""

    id: UUID
    key: str
    name: str
    origins: list[str]
    created_by: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WidgetKeyOwner:
    """The tenant of a widget key, and from where it may be used: nowhere, if the list is empty."""

    tenant: Tenant
    suspended_reason: str | None
    widget_key_id: UUID
    revoked_at: datetime | None
    origins: list[str]


async def owner_of_widget_key(db: Database, key: str) -> WidgetKeyOwner | None:
    """Whose key it is, revoked ones too; None when it is nobody's."""
    async with db.system() as conn:
        row = await (await conn.execute("SELECT * FROM tenant_of_widget_key(%s)", (key,))).fetchone()
    if row is None:
        return None
    return WidgetKeyOwner(
        tenant=Tenant(tenant_id=TenantId(row["tenant_id"]), name=row["name"]),
        suspended_reason=row["suspended_reason"],
        widget_key_id=row["widget_key_id"],
        revoked_at=row["revoked_at"],
        origins=row["origins"],
    )


async def origin_is_listed(db: Database, origin: str) -> bool:
    """Whether any widget key in force names the origin: what a browser's preflight is answered by."""
    async with db.system() as conn:
        row = await (await conn.execute("SELECT origin_is_listed(%s) AS listed", (origin,))).fetchone()
    return bool(row and row["listed"])


async def widget_key_holds(conn: Conn, tenant_id: TenantId, widget_key_id: UUID, *, origin: str) -> bool:
    """Whether the key is in force and names the origin."""
    cursor = await conn.execute(
        "SELECT FROM widget_keys k JOIN widget_origins o ON o.tenant_id = k.tenant_id AND o.widget_key_id = k.id"
        " WHERE k.tenant_id = %(tenant)s AND o.tenant_id = %(tenant)s AND k.id = %(key)s AND o.origin = %(origin)s"
        " AND k.revoked_at IS NULL",
        {"tenant": tenant_id, "key": widget_key_id, "origin": origin},
    )
    return await cursor.fetchone() is not None


async def add_widget_key(conn: Conn, tenant_id: TenantId, key: str, *, name: str, by: str) -> UUID:
    """Keeps the key; it may be used from nowhere yet. Returns its id."""
    cursor = await conn.execute(
        "INSERT INTO widget_keys (tenant_id, key, name, created_by) VALUES (%s, %s, %s, %s) RETURNING id",
        (tenant_id, key, name, by),
    )
    row = await cursor.fetchone()
    return row["id"] if row else UUID(int=0)


async def widget_keys_of(conn: Conn, tenant_id: TenantId) -> list[WidgetKeyRow]:
    """The tenant's widget keys with their origins, the oldest first."""
    cursor = await conn.execute(
        "SELECT k.id, k.key, k.name, k.created_by, k.created_at, k.revoked_at,"
        " ARRAY(SELECT o.origin FROM widget_origins o WHERE o.tenant_id = k.tenant_id AND o.widget_key_id = k.id"
        " ORDER BY o.origin) AS origins FROM widget_keys k WHERE k.tenant_id = %s ORDER BY k.created_at, k.key",
        (tenant_id,),
    )
    return [WidgetKeyRow(**row) for row in await cursor.fetchall()]


async def find_widget_key(conn: Conn, tenant_id: TenantId, key: str) -> WidgetKeyRow:
    """The tenant's widget key. Raises NotFound."""
    for row in await widget_keys_of(conn, tenant_id):
        if row.key == key:
            return row
    raise NotFound(
        f"The tenant has no widget key '{key[:60]}'.",
        remedy="List them with: chatbot widget list --tenant NAME.",
    )


async def set_origins(conn: Conn, tenant_id: TenantId, widget_key_id: UUID, origins: list[str]) -> None:
    """Lets the key be used from these origins and no other."""
    await conn.execute(
        "DELETE FROM widget_origins WHERE tenant_id = %s AND widget_key_id = %s AND NOT origin = ANY (%s)",
        (tenant_id, widget_key_id, origins),
    )
    await conn.execute(
        "INSERT INTO widget_origins (tenant_id, widget_key_id, origin)"
        " SELECT %s, %s, unnest(%s::text[]) ON CONFLICT DO NOTHING",
        (tenant_id, widget_key_id, origins),
    )


async def revoke_widget_key(conn: Conn, tenant_id: TenantId, widget_key_id: UUID) -> bool:
    """Ends the key for good, and with it its sessions. False when it was revoked already."""
    cursor = await conn.execute(
        "UPDATE widget_keys SET revoked_at = now() WHERE tenant_id = %s AND id = %s AND revoked_at IS NULL",
        (tenant_id, widget_key_id),
    )
    return cursor.rowcount == 1
