"""Tenants and their keys. A key is kept as its hash only."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from uuid import uuid4

from psycopg.errors import CheckViolation, UniqueViolation

from chatbot.core.passage import TenantId
from chatbot.errors import BadRequest
from chatbot.store.db import Conn, Database

PREFIX = "ck_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    id: TenantId
    name: str


async def of_key(conn: Conn, key: str) -> Tenant | None:
    """The tenant that a key belongs to, or None."""
    cursor = await conn.execute("SELECT * FROM tenant_of_key(%s)", (hashlib.sha256(key.encode()).digest(),))
    row = await cursor.fetchone()
    return Tenant(id=TenantId(row["tenant_id"]), name=row["name"]) if row else None


async def create(database: Database, name: str) -> tuple[Tenant, str]:
    """A new tenant and its first key, which is shown this once. Raises BadRequest."""
    tenant_id = TenantId(uuid4())
    key = PREFIX + secrets.token_urlsafe(32)
    try:
        async with database.as_tenant(tenant_id) as conn:
            await conn.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, %s)", (tenant_id, name))
            await conn.execute(
                "INSERT INTO api_keys (tenant_id, prefix, sha256) VALUES (%s, %s, %s)",
                (tenant_id, key[:8], hashlib.sha256(key.encode()).digest()),
            )
    except UniqueViolation as error:
        raise BadRequest(f"There is a tenant '{name}' already.") from error
    except CheckViolation as error:
        raise BadRequest(
            f"'{name}' is no tenant's name: lower-case letters, digits and hyphens, 63 at most."
        ) from error
    return Tenant(id=tenant_id, name=name), key
