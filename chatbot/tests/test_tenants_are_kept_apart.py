"""Tenant isolation, generated from the catalogue so that a new table cannot be forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from chatbot.store.catalogue import FACTS, PARAMETERS
from chatbot.store.db import Database
from chatbot_house import Chatbot

A, B = UUID(int=1), UUID(int=2)

# One row of each tenant table. A table that is not here fails the test that reads the catalogue.
ROWS = {
    "tenants": "INSERT INTO tenants (id, name) VALUES (%(t)s, %(n)s)",
    "api_keys": "INSERT INTO api_keys (tenant_id, prefix, key_hash) VALUES (%(t)s, 'p', sha256(%(n)s::bytea))",
    "documents": "INSERT INTO documents (tenant_id, id, title, sha256) VALUES (%(t)s, %(t)s, 'd', 'x')",
    "passages": "INSERT INTO passages (tenant_id, document_id, position, heading, text) VALUES (%(t)s, %(t)s, 0, '', 'x')",
    "conversations": "INSERT INTO conversations (tenant_id, id) VALUES (%(t)s, %(t)s)",
    "messages": "INSERT INTO messages (tenant_id, conversation_id, role, content) VALUES (%(t)s, %(t)s, 'user', 'x')",
    "audit_logs": "INSERT INTO audit_logs (tenant_id, event_type, actor) VALUES (%(t)s, 'e', 'a')",
}
# How the wrong tenant, or none, may come to be set.
WRONG = {
    "the other tenant": f"SELECT set_config('app.tenant_id', '{B}', true)",
    "never set": "SELECT 1",
    "an empty string": "SELECT set_config('app.tenant_id', '', true)",
}


@pytest.fixture
def filled(superuser_url: str) -> str:
    with psycopg.connect(superuser_url) as conn:
        for tenant, name in ((A, "acme"), (B, "globex")):
            for insert in ROWS.values():
                conn.execute(insert, {"t": tenant, "n": name})
    return superuser_url


def column_of(table: str) -> sql.Identifier:
    return sql.Identifier("id" if table == "tenants" else "tenant_id")


def test_every_tenant_table_of_the_catalogue_is_tested(app_url: str) -> None:
    """A new table with a tenant's rows cannot be left out of these tests."""
    with psycopg.connect(app_url) as conn:
        tables = conn.execute(FACTS, PARAMETERS).fetchone()[2]
        found = {table["name"] for table in tables}
    assert found == set(ROWS)


@pytest.mark.parametrize("table", ROWS)
@pytest.mark.parametrize("how", WRONG)
def test_the_wrong_tenant_reads_and_changes_nothing(filled: str, app_url: str, table: str, how: str) -> None:
    """Whoever is another tenant, or none, neither sees nor changes nor deletes acme's rows."""
    name, column = sql.Identifier(table), column_of(table)
    verbs = (
        sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(name, column),
        sql.SQL("UPDATE {} SET {} = {} WHERE {} = %s").format(name, column, column, column),
        sql.SQL("DELETE FROM {} WHERE {} = %s").format(name, column),
    )
    for verb in verbs:
        with psycopg.connect(app_url) as conn:
            conn.execute(WRONG[how])
            try:
                assert conn.execute(verb, (A,)).rowcount == 0
            except psycopg.errors.InsufficientPrivilege:
                conn.rollback()
    with psycopg.connect(filled) as conn:
        assert conn.execute(verbs[0], (A,)).rowcount == 1


@pytest.mark.parametrize("table", ROWS)
@pytest.mark.parametrize("how", WRONG)
def test_nobody_writes_a_row_into_another_tenant(app_url: str, table: str, how: str) -> None:
    """An insert that names acme is refused unless acme is the tenant that is set."""
    with psycopg.connect(app_url) as conn:
        conn.execute(WRONG[how])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(ROWS[table], {"t": A, "n": "acme"})


@pytest.mark.parametrize("table", sorted(set(ROWS)))
def test_a_tenant_sees_its_own_row_and_no_other(filled: str, app_url: str, table: str) -> None:
    """With acme set, a statement without any filter returns acme's row alone: the tests above do not pass by blindness."""
    with psycopg.connect(app_url) as conn:
        conn.execute("SELECT set_config('app.tenant_id', %s, true)", (str(A),))
        found = conn.execute(sql.SQL("SELECT {} FROM {}").format(column_of(table), sql.Identifier(table)))
        assert found.fetchall() == [(A,)]


async def test_the_tenant_does_not_outlive_its_transaction(filled: str, app_url: str) -> None:
    """The next borrower of a pooled connection is no tenant, also after a rollback."""
    async with Database(app_url, size=1, application="test") as db:
        await db.verify()
        with pytest.raises(ZeroDivisionError):
            async with db.tenant(A):  # type: ignore[arg-type]
                raise ZeroDivisionError
        async with db.tenant(A) as conn:  # type: ignore[arg-type]
            assert (await conn.execute("SELECT 1 FROM documents")).rowcount == 1
        async with db.system() as conn:
            assert (await conn.execute("SELECT 1 FROM documents")).rowcount == 0


async def test_two_tenants_get_their_own_answers(chatbot: Chatbot) -> None:
    """The same question of acme and globex is answered from each one's own document."""
    for tenant, days in (("acme", "30 days"), ("globex", "14 days")):
        _, events, _ = await chatbot.ask("When is a refund possible?", tenant=tenant)
        sources = events[0][1]["sources"]
        assert [days in source["text"] for source in sources] == [True]


async def test_a_conversation_of_another_tenant_is_not_found(chatbot: Chatbot) -> None:
    """Globex cannot continue, or learn of, a conversation of acme."""
    _, events, _ = await chatbot.ask("When is a refund possible?")
    conversation = events[-1][1]["conversation_id"]
    assert (await chatbot.ask("And then?", conversation_id=conversation))[0] == 200
    status, _, problem = await chatbot.ask("And then?", tenant="globex", conversation_id=conversation)
    unknown = await chatbot.ask("And then?", tenant="globex", conversation_id=str(uuid4()))
    assert status == 404
    assert problem["type"] == unknown[2]["type"]


async def test_a_key_does_not_open_a_tenant_that_the_body_names(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Acme's key with globex in the body is refused and audited."""
    assert (await chatbot.ask("When is a refund possible?", tenant="globex"))[0] == 200
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    body = {"message": "When is a refund possible?", "tenant": "globex"}
    async with chatbot.http.post(f"{chatbot.url}/api/chat", json=body, headers=headers) as answer:
        assert answer.status == 403
    assert audit_rows("tenant_mismatch")[0][2] == {"claimed": "globex"}
