"""The audit log: only added to, and every entry chained to the one before by the database itself."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from chatbot.core.audit import AuditEntry
from chatbot.core.tenancy import TenantId
from chatbot.store.db import Conn, Database

INSERT = "INSERT INTO audit_logs (tenant_id, event_type, actor, ip, detail) VALUES (%s, %s, %s, %s::inet, %s)"


async def add_entry(conn: Conn, entry: AuditEntry) -> None:
    """Adds the entry within the caller's transaction, so that the change and its entry are kept or lost together.

    The chain is locked until that transaction ends: add the entry last.
    """
    await conn.execute(
        INSERT, (entry.tenant_id, entry.event, entry.actor, entry.ip, Jsonb(dict(entry.detail)))
    )


async def record(db: Database, entry: AuditEntry) -> None:
    """Adds the entry in a transaction of its own, which no other failure takes back. Raises StoreUnavailable."""
    if entry.tenant_id is None:
        async with db.system() as conn:
            await add_entry(conn, entry)
    else:
        async with db.tenant(entry.tenant_id) as conn:
            await add_entry(conn, entry)


async def last_of(conn: Conn, tenant_id: TenantId) -> tuple[int, str]:
    """The tenant's latest entry: its position in the chain, and its hash in hexadecimal."""
    cursor = await conn.execute(
        "SELECT id, encode(hash, 'hex') AS hash FROM audit_logs WHERE tenant_id = %s ORDER BY id DESC LIMIT 1",
        (tenant_id,),
    )
    row = await cursor.fetchone()
    return (row["id"], row["hash"]) if row else (0, "")
