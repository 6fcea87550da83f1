"""Tenants, and whether they are open."""

from __future__ import annotations

from collections.abc import Collection
from uuid import uuid4

import psycopg
from psycopg.rows import DictRow

from chatbot.core.tenancy import ApiKey, Tenant, TenantId, TenantState
from chatbot.errors import Conflict, NotFound
from chatbot.store.api_keys import add_key
from chatbot.store.db import Conn, Database


async def create_tenant(db: Database, name: str, key: ApiKey, *, by: str = "command line") -> Tenant:
    """The new tenant with its first key. Raises Conflict when the name is taken."""
    tenant = Tenant(tenant_id=TenantId(uuid4()), name=name)
    try:
        async with db.tenant(tenant.tenant_id) as conn:
            await conn.execute("INSERT INTO tenants (id, name) VALUES (%s, %s)", (tenant.tenant_id, name))
            await add_key(conn, tenant.tenant_id, key, name="first", by=by, expires_at=None)
    except psycopg.errors.UniqueViolation as error:
        raise Conflict(f"There is a tenant '{name}' already.", remedy="Choose another name.") from error
    return tenant


async def known_tenants(db: Database, *, most: int) -> list[TenantId]:
    """The ids of the tenants, the oldest first. Raises StoreUnavailable."""
    async with db.system() as conn:
        rows = await (await conn.execute("SELECT known_tenants(%s) AS id", (most,))).fetchall()
    return [TenantId(row["id"]) for row in rows]


async def tenant_of_name(db: Database, name: str) -> Tenant:
    """The tenant of that name. Raises NotFound."""
    async with db.system() as conn:
        row = await (await conn.execute("SELECT tenant_of_name(%s) AS id", (name,))).fetchone()
    if row is None or row["id"] is None:
        raise NotFound(
            f"There is no tenant '{name[:80]}'.", remedy="Make it with: chatbot tenant create NAME."
        )
    return Tenant(tenant_id=TenantId(row["id"]), name=name)


async def all_tenants(db: Database) -> list[TenantState]:
    """Every tenant, by name: what it is called and whether it is open, never what it holds."""
    async with db.system() as conn:
        cursor = await conn.execute(
            "SELECT tenant_id AS id, name, created_at, suspended_at, suspended_reason FROM all_tenants()"
        )
        return [_state(row) for row in await cursor.fetchall()]


async def closed_among(db: Database, tenants: Collection[TenantId]) -> set[TenantId]:
    """Those of the tenants that are suspended, or no longer there. Raises StoreUnavailable."""
    async with db.system() as conn:
        cursor = await conn.execute("SELECT closed_tenants(%s) AS id", (list(tenants),))
        return {TenantId(row["id"]) for row in await cursor.fetchall()}


async def state_of_tenant(conn: Conn, tenant_id: TenantId) -> TenantState:
    """The tenant as operators see it. Raises NotFound."""
    cursor = await conn.execute(
        "SELECT id, name, created_at, suspended_at, suspended_reason FROM tenants WHERE id = %s", (tenant_id,)
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no tenant {tenant_id}.")
    return _state(row)


async def set_suspended(conn: Conn, tenant_id: TenantId, *, reason: str | None) -> bool:
    """Closes the tenant for the reason, or opens it when that is None. False when it was so already."""
    cursor = await conn.execute(
        "UPDATE tenants SET suspended_reason = %(reason)s,"
        " suspended_at = CASE WHEN %(reason)s::text IS NULL THEN NULL ELSE now() END"
        " WHERE id = %(tenant)s AND (suspended_reason IS NULL) <> (%(reason)s::text IS NULL)",
        {"reason": reason, "tenant": tenant_id},
    )
    return cursor.rowcount == 1


def _state(row: DictRow) -> TenantState:
    return TenantState(
        tenant=Tenant(tenant_id=TenantId(row["id"]), name=row["name"]),
        created_at=row["created_at"],
        suspended_at=row["suspended_at"],
        suspended_reason=row["suspended_reason"],
    )
