"""What must be true of the database before one tenant's question is answered from it.

Reads the catalogue only. Does not know whether the policies are the right ones beyond their mention of
`app.tenant_id`; the tests of isolation do.
"""

from __future__ import annotations

import re
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from chatbot.errors import UnsafeDatabase

# The newest migration; a test compares it with the folder.
SCHEMA_REVISION = "0001"
# 17.6: CVE-2025-8713. pgvector 0.8.4: CVE-2026-3172 and two index faults.
LEAST_POSTGRES = 170006
LEAST_PGVECTOR = (0, 8, 4)

ROLE = """
SELECT current_user AS name, r.rolsuper, r.rolbypassrls,
       (SELECT coalesce(array_agg(m.rolname::text ORDER BY m.rolname), '{}') FROM pg_roles m
         WHERE pg_has_role(current_user, m.oid, 'MEMBER') AND m.oid <> r.oid
           AND (m.rolsuper OR m.rolbypassrls
                OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = m.oid AND c.relnamespace = 'public'::regnamespace))
       ) AS powerful
  FROM pg_roles r WHERE r.rolname = current_user
"""

VERSIONS = """
SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS postgres,
       (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector
"""

# Every table that holds a tenant's rows, found by its column so that a new one cannot be forgotten.
TENANT_TABLES = """
SELECT c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
       pg_get_userbyid(c.relowner) = current_user AS owned,
       (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies,
       (SELECT coalesce(array_agg(p.policyname::text), '{}') FROM pg_policies p
         WHERE p.schemaname = 'public' AND p.tablename = c.relname
           AND EXISTS (SELECT FROM unnest(p.roles) AS bound
                        WHERE bound = 'public' OR pg_has_role(current_user, bound, 'MEMBER'))
           AND (coalesce(p.qual, p.with_check) NOT LIKE '%app.tenant\\_id%'
                OR coalesce(p.with_check, p.qual) NOT LIKE '%app.tenant\\_id%')) AS loose
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
   AND (c.relname = 'tenants' OR EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
 ORDER BY c.relname
"""

VIEWS = """
SELECT relname AS name FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')
   AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = pg_class.oid AND d.deptype = 'e')
"""


async def check_database(conn: AsyncConnection[DictRow]) -> None:
    """Raises UnsafeDatabase, with every fault found and the remedy."""
    faults = [*_role_faults(await _one(conn, ROLE)), *_version_faults(await _one(conn, VERSIONS))]
    found = await (await conn.execute("SELECT to_regclass('public.alembic_version') AS name")).fetchone()
    if not found or not found["name"]:
        faults.append("the schema has not been made: run 'chatbot migrate'")
    else:
        revision = (await _one(conn, "SELECT version_num FROM public.alembic_version"))["version_num"]
        if revision != SCHEMA_REVISION:
            faults.append(
                f"the schema is at {revision}, this program needs {SCHEMA_REVISION}: run 'chatbot migrate'"
            )
        tables = await (await conn.execute(TENANT_TABLES)).fetchall()
        faults += [fault for table in tables for fault in _table_faults(table)]
        faults += [
            f"view {view['name']} is not security_invoker"
            for view in await (await conn.execute(VIEWS)).fetchall()
        ]
    if faults:
        raise UnsafeDatabase(
            "The database does not keep tenants apart: " + "; ".join(faults) + ".",
            remedy="Run 'chatbot migrate', and connect as the role that it makes.",
        )


async def _one(conn: AsyncConnection[DictRow], statement: Any) -> DictRow:
    row = await (await conn.execute(statement)).fetchone()
    return row or {}


def _role_faults(role: DictRow) -> list[str]:
    name = role["name"]
    faults: list[str] = []
    if role["rolsuper"]:
        faults.append(f"role {name} is a superuser, whom no policy binds")
    if role["rolbypassrls"]:
        faults.append(f"role {name} has BYPASSRLS")
    if role["powerful"] and not role["rolsuper"]:
        faults.append(f"role {name} is a member of {', '.join(role['powerful'])}, whom policies do not bind")
    return faults


def _version_faults(found: DictRow) -> list[str]:
    faults: list[str] = []
    if found["number"] < LEAST_POSTGRES:
        faults.append(f"PostgreSQL is {found['postgres']}, at least 17.6 is needed")
    pgvector = found["pgvector"]
    if pgvector is None:
        faults.append("the extension vector is missing")
    elif tuple(int(part) for part in re.findall(r"\d+", pgvector)[:3]) < LEAST_PGVECTOR:
        faults.append(f"pgvector is {pgvector}, at least 0.8.4 is needed")
    return faults


def _table_faults(table: DictRow) -> list[str]:
    name = table["name"]
    faults: list[str] = []
    if not (table["enabled"] and table["forced"]):
        faults.append(f"table {name} lacks ENABLE or FORCE ROW LEVEL SECURITY")
    if not table["policies"]:
        faults.append(f"table {name} has no policy")
    if table["owned"]:
        faults.append(f"table {name} belongs to the role that serves")
    faults += [f"policy {policy} of table {name} does not compare app.tenant_id" for policy in table["loose"]]
    return faults
