"""The boot check: reads back from the catalogue what protects tenants from each other, and refuses to start without it."""

from __future__ import annotations

from chatbot.errors import UnsafeDatabase
from chatbot.store.db import Conn, Database

# PostgreSQL before 17.6 lets statistics leak hidden rows (CVE-2025-8713); pgvector before 0.8.4 leaks or corrupts
# under parallel builds and vacuum (CVE-2026-3172 and its follow-ups).
LEAST_POSTGRESQL = 170006
LEAST_VECTOR = (0, 8, 4)


async def check(database: Database) -> None:
    """Raises UnsafeDatabase with everything that is wrong."""
    async with database.transaction() as conn:
        faults = [*await _role(conn), *await _tables(conn), *await _versions(conn)]
    if faults:
        raise UnsafeDatabase("The database would not keep tenants apart: " + "; ".join(faults) + ".")


async def _role(conn: Conn) -> list[str]:
    cursor = await conn.execute(
        "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    )
    row = (await cursor.fetchall())[0]
    faults: list[str] = []
    if row["rolsuper"]:
        faults.append(f"{row['rolname']} is a superuser, whom no policy binds")
    if row["rolbypassrls"]:
        faults.append(f"{row['rolname']} has BYPASSRLS")
    return faults


async def _tables(conn: Conn) -> list[str]:
    """Every table with a tenant_id must have its wall; the audit log, which the application cannot read, needs none."""
    cursor = await conn.execute(
        """
        SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner) = current_user AS owned,
               EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND 0 = ANY (p.polroles)
                       AND pg_get_expr(p.polqual, p.polrelid) LIKE '%%app.tenant_id%%'
                       AND pg_get_expr(p.polwithcheck, p.polrelid) LIKE '%%app.tenant_id%%') AS walled
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
          AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
          AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')
        """
    )
    faults: list[str] = []
    rows = await cursor.fetchall()
    for row in rows:
        name = row["relname"]
        if row["owned"]:
            faults.append(f"the application owns {name}")
        if not (row["relrowsecurity"] and row["relforcerowsecurity"]):
            faults.append(f"{name} lacks ENABLE and FORCE ROW LEVEL SECURITY")
        if not row["walled"]:
            faults.append(f"{name} has no policy by app.tenant_id for reading and writing")
    return faults if rows else ["there are no tenant tables; run `chatbot migrate`"]


async def _versions(conn: Conn) -> list[str]:
    cursor = await conn.execute(
        "SELECT current_setting('server_version_num')::int AS server,"
        " (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector"
    )
    row = (await cursor.fetchall())[0]
    faults: list[str] = []
    if row["server"] < LEAST_POSTGRESQL:
        faults.append(f"PostgreSQL is {row['server']}, at least {LEAST_POSTGRESQL} is needed")
    version = tuple(int(part) for part in (row["vector"] or "0").split("."))
    if version < LEAST_VECTOR:
        faults.append(f"pgvector is {row['vector'] or 'missing'}, at least 0.8.4 is needed")
    return faults
