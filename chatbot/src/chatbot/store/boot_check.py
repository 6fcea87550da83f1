"""What must be true of the database before one tenant's question is answered from it.

Two questions to the catalogue, judged here; nothing is read of any tenant. Does not know what a trigger or a function
does, only that it is one that was reviewed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from chatbot.errors import UnsafeDatabase
from chatbot.store.catalogue import (
    FACTS,
    OTHER_CHECKS,
    PARAMETERS,
    REVISION,
    SECURITY_DEFINER,
    SEE_ALL,
    UNIQUE_ACROSS_TENANTS,
)

# The newest migration; a test compares it with the folder.
SCHEMA_REVISION = "0013"
# 17.6: CVE-2025-8713. pgvector 0.8.4: CVE-2026-3172 and two index faults.
LEAST_POSTGRES = 170006
LEAST_PGVECTOR = (0, 8, 4)

# The one comparison, without the blanks, brackets and casts that PostgreSQL adds when it shows it.
MINE = "nullifcurrent_setting'app.tenant_id',true,''::uuid"
_DRESS = re.compile(r"[\s()]|::text")
AUDIT_TRIGGERS = frozenset({"audit_append_only", "audit_chained"})

Fact = Mapping[str, Any]


async def check_database(conn: AsyncConnection[DictRow]) -> None:
    """Raises UnsafeDatabase, with every fault found and the remedy."""
    facts = await (await conn.execute(FACTS, PARAMETERS)).fetchone() or {}
    faults = [*role_faults(facts["role"]), *version_faults(facts["versions"])]
    if not facts["migrated"]:
        faults.append("the schema has not been made: run 'chatbot migrate'")
    else:
        found = await (await conn.execute(REVISION)).fetchone()
        faults += schema_faults(found["version_num"] if found else "nothing", facts)
    if faults:
        raise UnsafeDatabase(
            "The database does not keep tenants apart: " + "; ".join(faults) + ".",
            remedy="Mend what is named. 'chatbot migrate' brings roles and schema up to date; CHATBOT_DATABASE_URL must"
            " name the role that it makes, and nothing may be granted to that role beside.",
        )


def role_faults(role: Fact) -> Iterator[str]:
    """What the serving role may do that no policy would bind."""
    name = role["name"]
    if role["superuser"]:
        yield f"role {name} is a superuser, whom no policy binds"
        return
    for power, words in (
        ("bypassrls", "has BYPASSRLS"),
        ("createrole", "has CREATEROLE: it could make itself a member of the owner"),
        ("replication", "has REPLICATION, which reads past every policy"),
        ("creates", "may create in schema public: REVOKE CREATE ON SCHEMA public"),
    ):
        if role[power]:
            yield f"role {name} {words}"
    if role["powerful"]:
        yield f"role {name} is a member of {', '.join(role['powerful'])}, whom the policies do not bind"
    if role["tenant"]:
        yield (
            f"app.tenant_id is {role['tenant']} where nobody has set it: a default of the role or the database, or"
            " another program behind the same pooler sets it for the session"
        )


def version_faults(found: Fact) -> Iterator[str]:
    """Versions that leak by a known fault."""
    if found["number"] < LEAST_POSTGRES:
        yield f"PostgreSQL is {found['postgres']}, at least 17.6 is needed: upgrade the server"
    pgvector = found["pgvector"]
    if pgvector is None:
        yield "the extension vector is missing: run 'chatbot migrate'"
    elif tuple(int(part) for part in re.findall(r"\d+", pgvector)[:3]) < LEAST_PGVECTOR:
        yield f"pgvector is {pgvector}, at least 0.8.4 is needed: ALTER EXTENSION vector UPDATE"


def schema_faults(revision: str, facts: Fact) -> Iterator[str]:
    """What is wrong with tables, views, functions and the roles without login."""
    if revision != SCHEMA_REVISION:
        yield f"the schema is at {revision}, this program needs {SCHEMA_REVISION}: run 'chatbot migrate'"
    for table in facts["tables"]:
        yield from table_faults(table)
        for policy in table["policies"]:
            yield from policy_faults(table, policy)
        yield from key_faults(table)
    for view in facts["views"]:
        if view["materialized"]:
            yield f"materialized view {view['name']} keeps rows that no policy binds: drop it"
        else:
            yield f"view {view['name']} is not security_invoker: ALTER VIEW … SET (security_invoker = true)"
    for function in facts["functions"]:
        yield from function_faults(function)
    for role in facts["see_all"]:
        yield from _onlooker_faults(role)
    if off := AUDIT_TRIGGERS - set(facts["audit_triggers"]):
        yield f"trigger {', '.join(sorted(off))} of audit_logs is off or gone: ALTER TABLE audit_logs ENABLE TRIGGER USER"


def table_faults(table: Fact) -> Iterator[str]:
    """Row-level security itself, the owner, and grants that look past it."""
    name = table["name"]
    if not (table["enabled"] and table["forced"]):
        yield f"table {name} lacks ENABLE or FORCE ROW LEVEL SECURITY"
    if not table["policies"]:
        yield f"table {name} has no policy"
    if table["owned"]:
        yield f"table {name} belongs to the role that serves"
    if table["owner_enters"]:
        yield f"table {name} belongs to {table['owner']}, who can log in: ALTER ROLE {table['owner']} NOLOGIN"
    if table["beyond"]:
        yield f"the serving role has {', '.join(table['beyond'])} on table {name}, which look past every policy"
    if table["public"]:
        yield f"something of table {name} is granted to PUBLIC"


def policy_faults(table: Fact, policy: Fact) -> Iterator[str]:
    """A policy may compare the tenant, or let a reviewed role look. A restrictive one only narrows."""
    if not policy["permissive"]:
        return
    label = f"policy {policy['name']} of table {table['name']}"
    if policy["binds_us"]:
        wanted = f"{table['key']}={MINE}"
        reviewed = OTHER_CHECKS.get((table["name"], policy["name"]), "")
        forms = {wanted, f"{reviewed}{MINE}"} if reviewed and policy["command"] == "a" else {wanted}
        given = [_bare(policy[part]) for part in ("qual", "check") if policy[part] is not None]
        if not given or not set(given) <= forms:
            yield f"{label} does not compare app.tenant_id in the one form that is known to be safe"
    for role in policy["others"]:
        if role not in SEE_ALL or policy["command"] != "r":
            yield f"{label} lets role {role} past the tenants"


def key_faults(table: Fact) -> Iterator[str]:
    """Uniqueness and foreign keys look past row-level security: they must carry the tenant."""
    name, key = table["name"], table["key"]
    for index in table["uniques"]:
        columns, allowed = index["columns"], index["name"] in UNIQUE_ACROSS_TENANTS
        if key not in columns and not allowed:
            yield f"unique index {index['name']} of table {name} has no {key}: it tells that another tenant has the value"
        elif index["primary"] and columns[0] != key and not allowed:
            yield f"the primary key of table {name} does not begin with {key}"
    for foreign in table["foreign_keys"]:
        if not foreign["with_tenant"]:
            yield f"foreign key {foreign['name']} of table {name} could point into another tenant: it has no {key}"


def function_faults(function: Fact) -> Iterator[str]:
    """A SECURITY DEFINER function acts as its owner."""
    name = function["name"]
    if name not in SECURITY_DEFINER:
        yield f"function {name} is SECURITY DEFINER and was not reviewed"
    if not function["fixed"]:
        yield f"function {name} is SECURITY DEFINER without a fixed search_path: ALTER FUNCTION … SET search_path"
    if function["public"]:
        yield f"function {name} is SECURITY DEFINER and PUBLIC may call it: REVOKE ALL ON FUNCTION … FROM PUBLIC"


def _onlooker_faults(role: Fact) -> Iterator[str]:
    name = role["name"]
    if role["enters"]:
        yield f"role {name} can log in and sees all tenants: ALTER ROLE {name} NOLOGIN"
    if role["unbound"]:
        yield f"role {name} is a superuser or has BYPASSRLS"
    if role["writes"]:
        yield f"role {name} may change {', '.join(role['writes'])}; it is there to look"


def _bare(expression: str) -> str:
    return _DRESS.sub("", expression).lower()
