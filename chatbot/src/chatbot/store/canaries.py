"""The canaries' rows, and what of the keeper's another tenant, or none, can see through row-level security alone."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from psycopg import sql

from chatbot.core.canary import KEEPER
from chatbot.core.documents import RevisionRef
from chatbot.core.tenancy import Tenant
from chatbot.store.db import Conn
from chatbot.store.documents import take

NEVER = datetime(9000, 1, 1, tzinfo=UTC)
WAITING = RevisionRef(
    tenant_id=KEEPER.tenant_id, document_id=UUID("ca9a0000-0000-4000-8000-0000000000d0"), revision=1
)

# Every table that holds tenants' rows, found by its column so that a new one is probed the minute it is there.
TABLES = """
SELECT c.relname AS name, CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END AS key
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'SELECT')
   AND (c.relname = 'tenants' OR EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
 ORDER BY c.relname
"""


async def ensure_tenant(conn: Conn, tenant: Tenant) -> None:
    """The canary's own row, in a transaction of that tenant."""
    await conn.execute(
        "INSERT INTO tenants (id, name) VALUES (%s, %s) ON CONFLICT (id) DO NOTHING",
        (tenant.tenant_id, tenant.name),
    )


async def ensure_conversation(conn: Conn, tenant: Tenant, conversation_id: UUID, *, owner: str) -> None:
    """A conversation of the canary, with an id that the other knows."""
    await conn.execute(
        "INSERT INTO conversations (tenant_id, id, owner) VALUES (%s, %s, %s) ON CONFLICT (tenant_id, id) DO NOTHING",
        (tenant.tenant_id, conversation_id, owner),
    )


async def ensure_waiting_revision(conn: Conn, now: datetime) -> None:
    """A revision of the keeper that is due in a time that never comes: no worker takes it, whoever could is found out."""
    await conn.execute(
        "INSERT INTO documents (tenant_id, id, title, source) VALUES (%s, %s, 'canary-job.md', 'upload')"
        " ON CONFLICT DO NOTHING",
        (KEEPER.tenant_id, WAITING.document_id),
    )
    await conn.execute(
        "INSERT INTO revisions (tenant_id, document_id, revision, actor, due_at, created_at)"
        " VALUES (%s, %s, %s, 'canary', %s, %s) ON CONFLICT DO NOTHING",
        (KEEPER.tenant_id, WAITING.document_id, WAITING.revision, NEVER, now),
    )


async def could_take(conn: Conn, ref: RevisionRef) -> bool:
    """Whether a worker in this transaction would get the revision, were it due. Nothing of it stays."""
    async with conn.transaction(force_rollback=True):
        return await take(conn, ref, NEVER) is not None


async def tables_that_show_the_keeper(conn: Conn) -> list[str]:
    """The tables in which the transaction sees a row of the keeper: by policy alone, without any WHERE of ours before it."""
    tables = await (await conn.execute(TABLES)).fetchall()
    parts = [
        sql.SQL("SELECT {} AS name WHERE EXISTS (SELECT FROM {} WHERE {} = {})").format(
            sql.Literal(table["name"]),
            sql.Identifier(table["name"]),
            sql.Identifier(table["key"]),
            sql.Literal(KEEPER.tenant_id),
        )
        for table in tables
    ]
    rows = await (await conn.execute(sql.SQL(" UNION ALL ").join(parts))).fetchall()
    return [row["name"] for row in rows]
