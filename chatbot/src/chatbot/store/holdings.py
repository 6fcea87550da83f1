"""All that a tenant has in PostgreSQL, found in the catalogue, so that a new table cannot be forgotten."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, LiteralString

from psycopg import sql

from chatbot.core.tenancy import TenantId
from chatbot.store.db import Conn

# Append-only: it must be able to say that there was an erasure, and of what.
KEPT = {
    "audit_logs": "the chained log of who did what: ids, titles and URLs of documents, IP addresses; no contents or e-mail"
}
# Never given out, not even to their owner: they would only help whoever steals the export.
SECRETS = ("password_hash", "key_hash", "token_hash", "refresh_hash", "previous_refresh_hash")
_PAGE = 500
# Deleting a tenant of 200,000 passages takes longer than a request may.
ERASE_TIMEOUT: LiteralString = "SET LOCAL statement_timeout = '10min'"

TABLES: LiteralString = """
SELECT c.relname AS name,
       (SELECT coalesce(array_agg(DISTINCT p.relname::text), '{}') FROM pg_constraint f JOIN pg_class p ON p.oid = f.confrelid
         WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid) AS parents,
       (SELECT array_agg(a.attname::text) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> '') AS generated
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND (c.relname = 'tenants' OR EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
 ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A table with rows of tenants. `generated` columns follow from the others."""

    name: str
    parents: Sequence[str]
    generated: Sequence[str]

    @property
    def key(self) -> str:
        """The column that names the tenant."""
        return "id" if self.name == "tenants" else "tenant_id"


async def holdings(conn: Conn) -> list[Holding]:
    """Every table with rows of tenants, parents first."""
    rows = await (await conn.execute(TABLES)).fetchall()
    found = {
        row["name"]: Holding(name=row["name"], parents=row["parents"], generated=row["generated"] or ())
        for row in rows
    }
    order = TopologicalSorter({name: set(each.parents) & set(found) for name, each in found.items()})
    return [found[name] for name in order.static_order()]


async def rows_of(conn: Conn, tenant_id: TenantId, table: Holding) -> AsyncGenerator[dict[str, Any]]:
    """The tenant's rows of a table, a page at a time, without secrets and what follows from other columns."""
    left_out = [*SECRETS, *table.generated]
    statement = sql.SQL("SELECT to_jsonb(t) - %s::text[] AS row FROM {} t WHERE {} = %s").format(
        sql.Identifier(table.name), sql.Identifier(table.key)
    )
    async with conn.cursor(name="holdings") as cursor:
        cursor.itersize = _PAGE
        await cursor.execute(statement, (left_out, tenant_id))
        async for found in cursor:
            yield found["row"]


async def erase_rows(conn: Conn, tenant_id: TenantId) -> dict[str, int]:
    """Deletes the tenant's rows of every table but KEPT, children first; how many there were of each.

    The tenant's own row is locked first: whoever adds something meanwhile waits, and then finds no tenant.
    """
    await conn.execute(ERASE_TIMEOUT)
    await conn.execute("SELECT FROM tenants WHERE id = %s FOR UPDATE", (tenant_id,))
    erased: dict[str, int] = {}
    for table in reversed(await holdings(conn)):
        if table.name in KEPT:
            continue
        statement = sql.SQL("DELETE FROM {} WHERE {} = %s").format(
            sql.Identifier(table.name), sql.Identifier(table.key)
        )
        erased[table.name] = (await conn.execute(statement, (tenant_id,))).rowcount
    return erased


async def count_rows(conn: Conn, tenant_id: TenantId) -> dict[str, int]:
    """How many rows of each table are the tenant's."""
    counts: dict[str, int] = {}
    for table in await holdings(conn):
        statement = sql.SQL("SELECT count(*) AS rows FROM {} WHERE {} = %s").format(
            sql.Identifier(table.name), sql.Identifier(table.key)
        )
        row = await (await conn.execute(statement, (tenant_id,))).fetchone()
        counts[table.name] = row["rows"] if row else 0
    return counts
