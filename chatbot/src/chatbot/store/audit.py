"""The audit log: written through one function of the database, on a connection of its own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from chatbot.core.passage import TenantId
from chatbot.store.db import Conn


async def write(
    conn: Conn,
    event_type: str,
    *,
    actor: str,
    tenant_id: TenantId | None = None,
    ip: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    await conn.execute(
        "SELECT write_audit(%s, %s, %s, %s::inet, %s)",
        (event_type, tenant_id, actor, ip, Jsonb(dict(detail or {}))),
    )
