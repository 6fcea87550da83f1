"""Tenant isolation for every table of the catalogue, every verb, and every way to be the wrong tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

import guards
from chatbot.store.catalogue import UNIQUE_ACROSS_TENANTS
from chatbot.store.db import Database
from isolation_matrix import ACME, GLOBEX, SITUATIONS, leaks_in, the_other_tenant
from pgbouncer import running_pgbouncer
from tenant_rows import RowMaker, insert_of

# Tables without a tenant's rows, and why. A new one needs a line here, or a column tenant_id and its policy.
WITHOUT_TENANT = {
    "alembic_version": "the schema's revision",
    "answer_settings": "one row of settings for everybody, set by operators",
    "audit_chain": "the head of the one chain: a length and a hash",
    "embedding_models": "names of models and since when, for all tenants",
    "feature_flags": "the operators' switches, for all tenants",
    "ip_blocks": "the networks that operators do not answer, for all tenants",
    "security_outbox": "what the responder must be told: identifiers and counts, read by no request",
}


@pytest.fixture(scope="module")
def filled(migrated: str, make_database: Callable[..., Any]) -> Generator[RowMaker]:
    """A database in which acme and globex have a row in every tenant table, to copy from."""
    with make_database(template=migrated) as url:
        made = RowMaker.over(url)
        for tenant in (ACME, GLOBEX):
            for table in made.tables:
                made.row(table, tenant)
        made.conn.close()
        yield made


@pytest.fixture
def superuser_url(filled: RowMaker, make_database: Callable[..., Any]) -> Generator[str]:
    """A copy of it, as somebody whom no policy binds."""
    with make_database(template=filled.database) as url:
        yield url


@pytest.fixture
def maker(filled: RowMaker, superuser_url: str) -> Generator[RowMaker]:
    """Makes rows in the copy."""
    made = filled.at(superuser_url)
    yield made
    made.conn.close()


@pytest.fixture
def url(app_url: str) -> str:
    """The copy, as the role that serves."""
    return app_url


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_the_wrong_tenant_sees_and_changes_nothing(maker: RowMaker, url: str, situation: str) -> None:
    """No verb on any tenant table shows, changes or makes a row of acme, however the wrong tenant came to be set."""
    assert await leaks_in(maker, SITUATIONS[situation], url) == []


@pytest.mark.parametrize(
    "situation", ["the_other_tenant", "never_set", "the_pools_next_tenant", "the_pools_next_without_tenant"]
)
async def test_through_a_transaction_pooler_the_same(maker: RowMaker, url: str, situation: str) -> None:
    """Through PgBouncer in transaction mode, where globex is served by the connection that served acme just now."""
    with running_pgbouncer(url, servers=1) as pooled:
        async with Database(pooled, size=1, application="test") as db:
            await db.verify()
            async with db.tenant(ACME) as conn:
                await conn.execute("SELECT 1")
        assert await leaks_in(maker, SITUATIONS[situation], pooled) == []


async def test_acme_sees_its_own(maker: RowMaker, url: str) -> None:
    """The tests above are about rows that are there: acme itself sees one in every table, and globex's in none."""
    async with Database(url, size=1, application="test") as db:
        await db.verify()
        async with db.tenant(ACME) as conn:
            for name, table in maker.tables.items():
                statement = sql.SQL("SELECT {} AS owner FROM {}").format(
                    sql.Identifier(table.key), sql.Identifier(name)
                )
                owners = {row["owner"] for row in await (await conn.execute(statement)).fetchall()}
                assert owners == {ACME}, name


async def test_many_clients_of_one_pooler_never_meet(maker: RowMaker, url: str) -> None:
    """Sixty clients of two tenants and of none, interleaved over two connections, some cancelled: each sees its own only."""
    with running_pgbouncer(url, servers=2) as pooled:
        async with Database(pooled, size=12, application="test") as db:
            await db.verify()

            async def ask(number: int) -> None:
                async with db.system() if number % 3 == 2 else db.tenant((ACME, GLOBEX)[number % 3]) as conn:
                    await conn.execute("SELECT pg_sleep(%s)", (0.002 * (number % 5),))
                    rows = await (await conn.execute("SELECT tenant_id FROM documents")).fetchall()
                    expected = set[Any]() if number % 3 == 2 else {(ACME, GLOBEX)[number % 3]}
                    assert {row["tenant_id"] for row in rows} == expected

            asking = [asyncio.create_task(ask(number)) for number in range(60)]
            await asyncio.sleep(0.01)
            cancelled = asking[::7]
            for task in cancelled:
                task.cancel()
            await asyncio.wait(asking)
            assert [task.exception() for task in asking if not task.cancelled() and task.exception()] == []
            assert sum(not task.cancelled() for task in asking) >= 50


async def test_a_row_cannot_hang_on_another_tenants_parent(maker: RowMaker, url: str) -> None:
    """A foreign key is checked past row-level security; with the tenant in it, acme's parent does not exist for globex."""
    tried = 0
    refused = (psycopg.errors.ForeignKeyViolation, psycopg.errors.InsufficientPrivilege)
    async with the_other_tenant(url) as conn:
        for name, table in maker.tables.items():
            for foreign in table.foreign:
                own = [column for column in foreign["columns"] if column != table.key]
                if not own or foreign["target"] not in maker.tables:
                    continue
                parent = maker.row(foreign["target"], ACME)
                pairs = dict(zip(foreign["columns"], foreign["target_columns"], strict=True))
                values = {**maker.fresh(name, GLOBEX), **{here: parent[pairs[here]] for here in own}}
                with pytest.raises(refused):
                    async with conn.transaction():
                        await conn.execute(insert_of(name, values), values)
                tried += 1
    assert tried >= 2


def test_another_tenants_values_can_be_had_too(maker: RowMaker) -> None:
    """Globex may use every value that acme uses: a refusal would tell that acme has it. The reviewed exceptions aside."""
    for name, table in maker.tables.items():
        of_acme, own = maker.row(name, ACME), maker.fresh(name, GLOBEX)
        parents = {column for foreign in table.foreign for column in foreign["columns"]}
        values = {
            column: own.get(column, GLOBEX) if column in parents | {table.key} else _plain(value)
            for column, value in of_acme.items()
            if not table.columns[column].generated and (value is not None or column in own)
        }
        maker.conn.execute("BEGIN")
        try:
            # As a superuser: a grant that is missing must not hide what the index would tell.
            maker.conn.execute(insert_of(name, values), values)
        except psycopg.errors.UniqueViolation as error:
            own_row = f"({table.key}" in str(error.diag.message_detail)
            if not own_row and error.diag.constraint_name not in UNIQUE_ACROSS_TENANTS:
                pytest.fail(f"table {name}: {error}")
        finally:
            maker.conn.execute("ROLLBACK")


def _plain(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict | list) else value


async def test_without_a_tenant_there_is_nothing_and_no_error(maker: RowMaker, url: str) -> None:
    """Before a tenant was ever set, and after one was, a question finds nothing, and is no error of its own."""
    async with Database(url, size=1, application="test") as db:
        for number in (1, 2):
            async with db._connection() as conn:
                for name in maker.tables:
                    cursor = await conn.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
                    assert cursor.rowcount == 0, (name, number)
                await conn.execute("SELECT set_config('app.tenant_id', %s, true)", (str(ACME),))


def test_the_owner_itself_sees_nothing(maker: RowMaker) -> None:
    """Whoever becomes the owner by accident, as a migration does, sees no tenant's rows and changes none."""
    maker.conn.execute("SET ROLE chatbot_owner")
    for name in maker.tables:
        for verb in ("SELECT 1 FROM {}", "DELETE FROM {}"):
            if verb.startswith("DELETE") and name == "audit_logs":
                continue  # its trigger refuses even without a row
            statement = sql.SQL(verb).format(sql.Identifier(name))
            assert maker.conn.execute(statement).rowcount == 0, (verb, name)
    maker.conn.execute("RESET ROLE")


def test_every_table_has_its_tenant_or_a_reason(maker: RowMaker) -> None:
    """A table without tenant_id is one that was thought about."""
    rows = maker.conn.execute(
        "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f')"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
    ).fetchall()
    assert {row["relname"] for row in rows} - set(maker.tables) == set(WITHOUT_TENANT)


def test_the_column_of_the_tenant_is_never_null(maker: RowMaker) -> None:
    """A row without a tenant would belong to nobody; only the audit log knows such entries."""
    loose = [name for name, table in maker.tables.items() if not table.columns[table.key].needed]
    assert loose == ["audit_logs"]


def test_every_index_begins_with_the_tenant(maker: RowMaker) -> None:
    """An index that serves a tenant's questions is led by the tenant; what serves others is listed."""
    rows = maker.conn.execute(
        "SELECT c.relname AS index, t.relname AS table, a.attname AS first FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid JOIN pg_am m ON m.oid = c.relam"
        " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE t.relname = ANY (%s) AND m.amname = 'btree' AND NOT i.indisunique",
        (list(maker.tables),),
    ).fetchall()
    loose = {row["index"] for row in rows if row["first"] != maker.tables[row["table"]].key}
    assert loose == OTHER_INDEXES


# For auditors and the worker, who ask across tenants, and for the preflight of a browser, which names no tenant.
OTHER_INDEXES = {"audit_logs_by_event", "revisions_due", "widget_origins_by_origin"}

guards.install(globals())
