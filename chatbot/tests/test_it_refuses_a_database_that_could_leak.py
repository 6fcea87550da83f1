"""The boot check: each condition is broken by itself, and the refusal names it and its cure."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

import guards
from chatbot.errors import UnsafeDatabase
from chatbot.store.boot_check import SCHEMA_REVISION, check_database, version_faults
from chatbot.store.db import Database
from chatbot_house import APP_ROLE

# What weakens the database, and the words of the refusal. Each is done inside a transaction that is rolled back.
WEAKENED = {
    "the serving role is a superuser": (f"ALTER ROLE {APP_ROLE} SUPERUSER", "is a superuser"),
    "the serving role has BYPASSRLS": (f"ALTER ROLE {APP_ROLE} BYPASSRLS", "has BYPASSRLS"),
    "the serving role has CREATEROLE": (f"ALTER ROLE {APP_ROLE} CREATEROLE", "has CREATEROLE"),
    "the serving role has REPLICATION": (f"ALTER ROLE {APP_ROLE} REPLICATION", "has REPLICATION"),
    "the serving role may create tables": (
        f"GRANT CREATE ON SCHEMA public TO {APP_ROLE}",
        "may create in schema",
    ),
    "the serving role is a member of the owner": (
        f"GRANT chatbot_owner TO {APP_ROLE}",
        "member of chatbot_owner",
    ),
    "the serving role is a member of the directory": (
        f"GRANT chatbot_directory TO {APP_ROLE}",
        "member of chatbot_directory",
    ),
    "the serving role is a member of the auditor": (
        f"GRANT chatbot_auditor TO {APP_ROLE}",
        "member of chatbot_auditor",
    ),
    "the serving role may switch without inheriting": (
        f"GRANT chatbot_owner TO {APP_ROLE} WITH INHERIT FALSE, SET TRUE",
        "member of chatbot_owner",
    ),
    "the serving role reads all data": (
        f"GRANT pg_read_all_data TO {APP_ROLE}",
        "member of pg_read_all_data",
    ),
    "the serving role reads the server's files": (
        f"GRANT pg_read_server_files TO {APP_ROLE}",
        "member of pg_read_server_files",
    ),
    "a tenant is set by default": (
        "SET app.tenant_id = '00000000-0000-0000-0000-000000000001'",
        "where nobody has set it",
    ),
    "ENABLE is gone": ("ALTER TABLE passages DISABLE ROW LEVEL SECURITY", "passages lacks ENABLE or FORCE"),
    "FORCE is gone": ("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY", "documents lacks ENABLE or FORCE"),
    "a policy is gone": ("DROP POLICY tenant ON messages", "messages has no policy"),
    "a table was forgotten": ("CREATE TABLE forgotten (tenant_id uuid)", "forgotten lacks ENABLE or FORCE"),
    "a policy lets all pass": (
        "CREATE POLICY open ON documents USING (true)",
        "policy open of table documents",
    ),
    "a policy compares in another form": (
        "ALTER POLICY tenant ON documents USING (tenant_id::text = current_setting('app.tenant_id', true))",
        "policy tenant of table documents",
    ),
    "a policy lets unset pass": (
        "ALTER POLICY tenant ON documents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"
        " OR nullif(current_setting('app.tenant_id', true), '') IS NULL)",
        "policy tenant of table documents",
    ),
    "WITH CHECK lets all pass": (
        "ALTER POLICY tenant ON documents WITH CHECK (true)",
        "policy tenant of table documents",
    ),
    "the exception of the audit log on another table": (
        "CREATE POLICY written ON documents FOR INSERT TO chatbot_app WITH CHECK (tenant_id IS NULL OR tenant_id ="
        " nullif(current_setting('app.tenant_id', true), '')::uuid)",
        "policy written of table documents",
    ),
    "the directory may change": (
        "CREATE POLICY all_of_it ON api_keys FOR ALL TO chatbot_directory USING (true)",
        "lets role chatbot_directory past",
    ),
    "the serving role owns a table": (
        f"ALTER TABLE conversations OWNER TO {APP_ROLE}",
        "belongs to the role that serves",
    ),
    "the owner can log in": ("ALTER ROLE chatbot_owner LOGIN", "chatbot_owner, who can log in"),
    "the serving role may truncate": (
        f"GRANT TRUNCATE ON messages TO {APP_ROLE}",
        "has TRUNCATE on table messages",
    ),
    "the serving role may refer to a table": (
        "GRANT REFERENCES ON documents TO chatbot_app",
        "has REFERENCES on table documents",
    ),
    "PUBLIC may read": ("GRANT SELECT ON documents TO PUBLIC", "documents is granted to PUBLIC"),
    "a unique index without the tenant": (
        "CREATE UNIQUE INDEX titles ON documents (title)",
        "unique index titles of table documents has no tenant_id",
    ),
    "a primary key that does not begin with the tenant": (
        "ALTER TABLE messages DROP CONSTRAINT messages_pkey, ADD PRIMARY KEY (id, tenant_id)",
        "primary key of table messages does not begin with tenant_id",
    ),
    "a foreign key without the tenant": (
        "CREATE UNIQUE INDEX lone ON conversations (id); ALTER TABLE messages ADD CONSTRAINT loose"
        " FOREIGN KEY (conversation_id) REFERENCES conversations (id)",
        "foreign key loose of table messages could point into another tenant",
    ),
    "a view that acts as its owner": (
        "CREATE VIEW all_documents AS SELECT * FROM documents",
        "not security_invoker",
    ),
    "a materialized view": (
        "CREATE MATERIALIZED VIEW kept AS SELECT * FROM documents",
        "materialized view kept",
    ),
    "a function that was not reviewed": (
        "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog"
        " AS 'SELECT count(*) FROM public.documents'; REVOKE ALL ON FUNCTION peek() FROM PUBLIC",
        "peek is SECURITY DEFINER and was not reviewed",
    ),
    "a function that trusts the search path": (
        "ALTER FUNCTION tenant_of_name(text) RESET search_path",
        "tenant_of_name is SECURITY DEFINER without a fixed search_path",
    ),
    "a function that PUBLIC may call": (
        "GRANT EXECUTE ON FUNCTION tenant_of_key(bytea) TO PUBLIC",
        "tenant_of_key is SECURITY DEFINER and PUBLIC may call it",
    ),
    "the auditor may change": (
        "GRANT DELETE ON documents TO chatbot_auditor",
        "chatbot_auditor may change documents",
    ),
    "the auditor may change a column": (
        "GRANT UPDATE (actor) ON audit_logs TO chatbot_auditor",
        "chatbot_auditor may change audit_logs",
    ),
    "the auditor can log in": ("ALTER ROLE chatbot_auditor LOGIN", "chatbot_auditor can log in"),
    "the directory has BYPASSRLS": (
        "ALTER ROLE chatbot_directory BYPASSRLS",
        "chatbot_directory is a superuser or has",
    ),
    "the audit log may be changed": (
        "ALTER TABLE audit_logs DISABLE TRIGGER audit_append_only",
        "audit_append_only",
    ),
    "the schema is old": ("UPDATE alembic_version SET version_num = 'old'", "run 'chatbot migrate'"),
    "the schema is not there": ("DROP TABLE alembic_version", "has not been made"),
    "pgvector is missing": ("DROP EXTENSION vector CASCADE", "extension vector is missing"),
    "pgvector is old": (
        "SET LOCAL allow_system_table_mods = on; UPDATE pg_extension SET extversion = '0.8.1' WHERE extname = 'vector'",
        "pgvector is 0.8.1, at least 0.8.4",
    ),
}


@asynccontextmanager
async def weakened(superuser_url: str, statement: str) -> AsyncIterator[AsyncConnection[DictRow]]:
    """A connection as the serving role over the weakened database; all of it is rolled back."""
    async with await AsyncConnection.connect(superuser_url, row_factory=dict_row) as conn:
        await conn.execute(statement)
        await conn.execute(f"SET LOCAL ROLE {APP_ROLE}")
        yield conn
        await conn.rollback()


@pytest.mark.parametrize("fault", WEAKENED)
async def test_it_refuses_and_says_what_and_how(superuser_url: str, fault: str) -> None:
    """Whatever one guard is taken away, the refusal names it and says what to do."""
    statement, words = WEAKENED[fault]
    async with weakened(superuser_url, statement) as conn:
        with pytest.raises(UnsafeDatabase, match=re.escape(words)) as refusal:
            await check_database(conn)
    assert refusal.value.remedy


async def test_it_passes_the_database_that_migrate_makes(superuser_url: str) -> None:
    """With nothing taken away there is nothing to say: the refusals above are due to what was weakened."""
    async with weakened(superuser_url, "SELECT 1") as conn:
        await check_database(conn)


async def test_a_restrictive_policy_and_a_safe_view_are_no_fault(superuser_url: str) -> None:
    """What only narrows, or obeys the caller's policies, is let pass."""
    harmless = (
        "CREATE POLICY narrower ON documents AS RESTRICTIVE USING (title <> 'secret');"
        "CREATE VIEW mine WITH (security_invoker = true) AS SELECT * FROM documents"
    )
    async with weakened(superuser_url, harmless) as conn:
        await check_database(conn)


@pytest.mark.parametrize(
    ("number", "postgres", "pgvector", "words"),
    [
        (170005, "17.5", "0.8.6", "PostgreSQL is 17.5, at least 17.6"),
        (160010, "16.10", "0.8.6", "PostgreSQL is 16.10"),
        (180000, "18.0", "0.8.3", "pgvector is 0.8.3"),
        (180000, "18.0", None, "vector is missing"),
    ],
)
def test_versions_with_known_leaks_are_refused(
    number: int, postgres: str, pgvector: str | None, words: str
) -> None:
    """PostgreSQL before 17.6 and pgvector before 0.8.4 are known to leak or to lose rows."""
    facts = {"number": number, "postgres": postgres, "pgvector": pgvector}
    assert any(words in fault for fault in version_faults(facts))
    assert list(version_faults({"number": 170006, "postgres": "17.6", "pgvector": "0.8.4"})) == []


async def test_the_door_stays_shut(superuser_url: str, app_url: str) -> None:
    """After a refusal not one statement runs through the pool."""
    with psycopg.connect(superuser_url) as conn:
        conn.execute("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY")
    async with Database(app_url, size=1, application="test") as db:
        with pytest.raises(UnsafeDatabase):
            await db.verify()
        with pytest.raises(Exception, match="boot check"):
            async with db.system():
                raise AssertionError("the door was open")


async def test_it_refuses_to_serve_as_a_superuser(superuser_url: str) -> None:
    """A superuser, whom no policy binds, cannot be the role that serves."""
    async with Database(superuser_url, size=1, application="test") as db:
        with pytest.raises(UnsafeDatabase, match="superuser"):
            await db.verify()


def test_the_boot_check_expects_the_newest_migration(superuser_url: str) -> None:
    """A new migration cannot be forgotten by the boot check."""
    with psycopg.connect(superuser_url) as conn:
        assert conn.execute("SELECT version_num FROM alembic_version").fetchone() == (SCHEMA_REVISION,)


async def test_it_is_quick(superuser_url: str) -> None:
    """Two questions: a restart does not wait for it."""
    async with weakened(superuser_url, "SELECT 1") as conn:
        await check_database(conn)
        began = time.monotonic()
        await check_database(conn)
        assert time.monotonic() - began < 0.5


guards.install(globals())
