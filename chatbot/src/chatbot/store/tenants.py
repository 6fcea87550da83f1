"""Tenants and their keys."""

from __future__ import annotations

from uuid import uuid4

import psycopg

from chatbot.core.tenancy import ApiKey, Tenant, TenantId, key_hash
from chatbot.errors import Conflict, NotFound
from chatbot.store.db import Conn, Database


async def create_tenant(db: Database, name: str, key: ApiKey) -> Tenant:
    """The new tenant with its first key. Raises Conflict when the name is taken."""
    tenant = Tenant(tenant_id=TenantId(uuid4()), name=name)
    try:
        async with db.tenant(tenant.tenant_id) as conn:
            await conn.execute("INSERT INTO tenants (id, name) VALUES (%s, %s)", (tenant.tenant_id, name))
            await add_key(conn, tenant.tenant_id, key)
    except psycopg.errors.UniqueViolation as error:
        raise Conflict(f"There is a tenant '{name}' already.", remedy="Choose another name.") from error
    return tenant


async def add_key(conn: Conn, tenant_id: TenantId, key: ApiKey) -> None:
    """Keeps the key's hash; the text itself is nowhere."""
    await conn.execute(
        "INSERT INTO api_keys (tenant_id, prefix, key_hash) VALUES (%s, %s, %s)",
        (tenant_id, key.prefix, key_hash(key.text)),
    )


async def tenant_of_key(db: Database, text: str) -> tuple[Tenant, str] | None:
    """The tenant that a key opens, and the key's prefix; None when it opens nothing."""
    async with db.system() as conn:
        cursor = await conn.execute(
            "SELECT tenant_id, name, prefix FROM tenant_of_key(%s)", (key_hash(text),)
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    return Tenant(tenant_id=TenantId(row["tenant_id"]), name=row["name"]), row["prefix"]


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
