"""What PostgreSQL's catalogue says of roles, tables, policies, keys and functions, in one question.

Also what was reviewed and let pass, each with its reason: a new exception is a line here, in sight of whoever reviews it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString

# A uniqueness check looks past row-level security: whoever inserts learns that another tenant has the value.
UNIQUE_ACROSS_TENANTS: Mapping[str, str] = {
    "tenants_name_key": "only operators make tenants, and they may know that a name is taken",
    "api_keys_key_hash_key": "256 random bits cannot be guessed",
    "widget_keys_key_key": "192 random bits cannot be guessed, and the key is public where it is used",
    "audit_logs_pkey": "the position in the one chain, chosen by a trigger and by nobody else",
}
# They act as their owner, whom other policies bind. Each was read: it tells an id or appends to the chain.
SECURITY_DEFINER: Mapping[str, str] = {
    "chain_audit": "gives an entry its place in the chain; returns nothing of another's",
    "tenant_of_key": "the tenant of a key that the caller has",
    "tenant_of_name": "the id of a name that the caller has",
    "passages_with_words": "ids of passages of the tenant that the transaction has set, and of no other",
    "due_revisions": "ids and a count of attempts, so that a worker finds what is to be done",
    "unshelved_tenants": "ids only, so that a worker finds the corpora to be indexed",
    "emptiest_shelf": "a number from 1 to 16",
    "known_tenants": "ids only, for the labels of a metric",
    "closed_tenants": "those of the given ids that are not open, so that their streams are ended",
    "tenant_of_widget_key": "the tenant and the origins of a key that stands in public pages",
    "origin_is_listed": "whether any tenant lists an origin: yes or no, as its preflight tells everyone",
    "all_tenants": "the operators' list: names, and whether each is open; nothing of what a tenant holds",
}
# Not the plain comparison, and why not.
OTHER_CHECKS: Mapping[tuple[str, str], str] = {
    ("audit_logs", "written"): "tenant_idisnullortenant_id=",  # a failed sign-in has no tenant yet
}
# Roles without login that see more than one tenant's rows, to look and never to change.
SEE_ALL: Mapping[str, str] = {
    "chatbot_directory": "finds the tenant of a key or a name, and lists names and what is due, inside nine functions",
    "chatbot_search": "looks words up, inside one function that keeps to the tenant of the transaction",
    "chatbot_auditor": "reads the audit log of all tenants",
}
# What no policy binds, or what reaches the files below the tables.
POWERFUL = (
    "pg_read_all_data", "pg_write_all_data", "pg_maintain", "pg_read_server_files", "pg_write_server_files",
    "pg_execute_server_program", "pg_database_owner", "pg_create_subscription",
)  # fmt: skip

# A table holds a tenant's rows when it has the column; found by it, so that a new one cannot be forgotten.
FACTS: LiteralString = """
WITH me AS (
    SELECT oid, rolname, rolsuper, rolbypassrls, rolcreaterole, rolreplication
      FROM pg_roles WHERE rolname = current_user
), held AS (
    SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relowner, c.relacl,
           CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END AS key
      FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND (c.relname = 'tenants' OR EXISTS (
            SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
), policies AS (
    SELECT p.polrelid, json_agg(json_build_object(
               'name', p.polname, 'command', p.polcmd, 'permissive', p.polpermissive,
               'qual', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid),
               'binds_us', EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE r = 0 OR pg_has_role(me.oid, r, 'MEMBER')),
               'others', (SELECT coalesce(json_agg(r::regrole::text ORDER BY r), '[]') FROM unnest(p.polroles) AS r
                           WHERE r <> 0 AND NOT pg_has_role(me.oid, r, 'MEMBER'))) ORDER BY p.polname) AS found
      FROM pg_policy p JOIN held ON held.oid = p.polrelid CROSS JOIN me GROUP BY p.polrelid
), uniques AS (
    SELECT i.indrelid, json_agg(json_build_object(
               'name', c.relname, 'primary', i.indisprimary,
               'columns', (SELECT coalesce(json_agg(a.attname ORDER BY k.place), '[]')
                             FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (number, place)
                             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number))
               ORDER BY c.relname) AS found
      FROM pg_index i JOIN held ON held.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indisunique GROUP BY i.indrelid
), foreign_keys AS (
    SELECT f.conrelid, json_agg(json_build_object(
               'name', f.conname, 'target', target.relname,
               'with_tenant', EXISTS (
                   SELECT FROM unnest(f.conkey, f.confkey) AS pair (here, there)
                     JOIN pg_attribute h ON h.attrelid = f.conrelid AND h.attnum = pair.here AND h.attname = held.key
                     JOIN pg_attribute t ON t.attrelid = f.confrelid AND t.attnum = pair.there AND t.attname = target.key))
               ORDER BY f.conname) AS found
      FROM pg_constraint f JOIN held ON held.oid = f.conrelid JOIN held AS target ON target.oid = f.confrelid
     WHERE f.contype = 'f' GROUP BY f.conrelid
)
SELECT
    (SELECT json_build_object(
        'name', me.rolname, 'superuser', me.rolsuper, 'bypassrls', me.rolbypassrls, 'createrole', me.rolcreaterole,
        'replication', me.rolreplication, 'creates', has_schema_privilege('public', 'CREATE'),
        'tenant', nullif(current_setting('app.tenant_id', true), ''),
        'powerful', (SELECT coalesce(json_agg(m.rolname ORDER BY m.rolname), '[]') FROM pg_roles m
            WHERE m.oid <> me.oid AND pg_has_role(me.oid, m.oid, 'MEMBER')
              AND (m.rolsuper OR m.rolbypassrls OR m.rolcreaterole OR m.rolreplication OR m.rolname = ANY (%(powerful)s)
                   OR EXISTS (SELECT FROM pg_class c
                               WHERE c.relowner = m.oid AND c.relnamespace = 'public'::regnamespace)
                   OR EXISTS (SELECT FROM pg_policy p
                               WHERE m.oid = ANY (p.polroles) AND m.rolname = ANY (%(see_all)s)))
        )) FROM me) AS role,
    json_build_object('number', current_setting('server_version_num')::int, 'postgres', current_setting('server_version'),
        'pgvector', (SELECT extversion FROM pg_extension WHERE extname = 'vector')) AS versions,
    (SELECT coalesce(json_agg(json_build_object(
        'name', held.relname, 'key', held.key, 'enabled', held.relrowsecurity, 'forced', held.relforcerowsecurity,
        'owner', owner.rolname, 'owned', held.relowner = me.oid,
        'owner_enters', owner.rolcanlogin AND NOT owner.rolsuper,
        'beyond', (SELECT coalesce(json_agg(verb), '[]') FROM unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) AS verb
                    WHERE has_table_privilege(held.oid, verb)),
        'public', EXISTS (SELECT FROM aclexplode(held.relacl) AS granted WHERE granted.grantee = 0),
        'policies', coalesce(policies.found, '[]'), 'uniques', coalesce(uniques.found, '[]'),
        'foreign_keys', coalesce(foreign_keys.found, '[]')) ORDER BY held.relname), '[]')
       FROM held JOIN pg_roles owner ON owner.oid = held.relowner CROSS JOIN me
       LEFT JOIN policies ON policies.polrelid = held.oid
       LEFT JOIN uniques ON uniques.indrelid = held.oid
       LEFT JOIN foreign_keys ON foreign_keys.conrelid = held.oid) AS tables,
    (SELECT coalesce(json_agg(json_build_object('name', c.relname, 'materialized', c.relkind = 'm') ORDER BY c.relname), '[]')
       FROM pg_class c
      WHERE c.relnamespace = 'public'::regnamespace
        AND (c.relkind = 'm' OR (c.relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false)))
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')) AS views,
    (SELECT coalesce(json_agg(json_build_object(
        'name', f.proname, 'owner', f.proowner::regrole::text,
        'fixed', coalesce(EXISTS (SELECT FROM unnest(f.proconfig) AS s WHERE s LIKE 'search_path=%%'), false),
        'public', EXISTS (SELECT FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS granted
                           WHERE granted.grantee = 0)) ORDER BY f.proname), '[]')
       FROM pg_proc f
      WHERE f.prosecdef AND f.pronamespace <> ALL (ARRAY['pg_catalog', 'information_schema']::regnamespace[])
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = f.oid AND d.deptype = 'e')) AS functions,
    (SELECT coalesce(json_agg(json_build_object(
        'name', r.rolname, 'enters', r.rolcanlogin, 'unbound', r.rolsuper OR r.rolbypassrls,
        'writes', (SELECT coalesce(json_agg(held.relname ORDER BY held.relname), '[]') FROM held
                    WHERE has_any_column_privilege(r.oid, held.oid, 'INSERT, UPDATE')
                       OR has_table_privilege(r.oid, held.oid, 'DELETE, TRUNCATE'))) ORDER BY r.rolname), '[]')
       FROM pg_roles r WHERE r.rolname = ANY (%(see_all)s)) AS see_all,
    (SELECT coalesce(json_agg(t.tgname ORDER BY t.tgname), '[]') FROM pg_trigger t
      WHERE t.tgrelid = to_regclass('public.audit_logs') AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')) AS audit_triggers,
    to_regclass('public.alembic_version') IS NOT NULL AS migrated
"""
PARAMETERS = {"powerful": list(POWERFUL), "see_all": list(SEE_ALL)}
REVISION: LiteralString = "SELECT version_num FROM public.alembic_version"
