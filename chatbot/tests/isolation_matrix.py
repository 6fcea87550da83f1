"""What a wrong tenant may try, and how it may come to be the wrong one: the matrix that the isolation tests are made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from chatbot.core.tenancy import TenantId
from chatbot.store.db import Conn, Database
from tenant_rows import RowMaker, insert_of

ACME, GLOBEX = TenantId(UUID(int=0xAC3E)), TenantId(UUID(int=0x61B8))

# Refused by grant or policy; by a setting that is no uuid; COPY FROM, which row-level security does not know.
REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidTextRepresentation,
    psycopg.errors.FeatureNotSupported,
)
SET = "SELECT set_config('app.tenant_id', %s, true)"

# How the wrong tenant, or none, comes to be set


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Conn]:
    async with await AsyncConnection.connect(url, row_factory=dict_row, prepare_threshold=None) as conn:
        yield conn


@asynccontextmanager
async def the_other_tenant(url: str) -> AsyncIterator[Conn]:
    async with _connected(url) as conn:
        await conn.execute(SET, (str(GLOBEX),))
        yield conn


@asynccontextmanager
async def never_set(url: str) -> AsyncIterator[Conn]:
    async with _connected(url) as conn:
        yield conn


@asynccontextmanager
async def an_empty_string(url: str) -> AsyncIterator[Conn]:
    async with _connected(url) as conn:
        await conn.execute(SET, ("",))
        yield conn


@asynccontextmanager
async def not_a_uuid(url: str) -> AsyncIterator[Conn]:
    async with _connected(url) as conn:
        await conn.execute(SET, ("acme' OR true --",))
        yield conn


@asynccontextmanager
async def after_acmes_rollback(url: str) -> AsyncIterator[Conn]:
    async with _connected(url) as conn:
        await conn.execute(SET, (str(ACME),))
        await conn.rollback()
        yield conn


@asynccontextmanager
async def after_acmes_commit(url: str) -> AsyncIterator[Conn]:
    async with _connected(url) as conn:
        await conn.execute(SET, (str(ACME),))
        await conn.commit()
        yield conn


@asynccontextmanager
async def after_acmes_cancelled_statement(url: str) -> AsyncIterator[Conn]:
    async with _connected(url) as conn:
        await conn.execute(SET, (str(ACME),))
        sleeping = asyncio.create_task(conn.execute("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.05)
        await conn.cancel_safe()
        with suppress(psycopg.errors.QueryCanceled):
            await sleeping
        await conn.rollback()
        yield conn


@asynccontextmanager
async def the_pools_next_tenant(url: str) -> AsyncIterator[Conn]:
    async with Database(url, size=1, application="test") as db:
        await db.verify()
        async with db.tenant(ACME) as conn:
            await conn.execute("SELECT 1")
        async with db.tenant(GLOBEX) as conn:
            yield conn


@asynccontextmanager
async def the_pools_next_without_tenant(url: str) -> AsyncIterator[Conn]:
    async with Database(url, size=1, application="test") as db:
        await db.verify()
        async with db.tenant(ACME) as conn:
            await conn.execute("SELECT 1")
        async with db.system() as conn:
            yield conn


@asynccontextmanager
async def the_pools_next_after_a_cancelled_request(url: str) -> AsyncIterator[Conn]:
    async with Database(url, size=1, application="test") as db:
        await db.verify()

        async def request() -> None:
            async with db.tenant(ACME) as conn:
                await conn.execute("SELECT pg_sleep(30)")

        under_way = asyncio.create_task(request())
        await asyncio.sleep(0.05)
        under_way.cancel()
        await asyncio.wait({under_way})
        async with db.system() as conn:
            yield conn


Situation = Callable[[str], AbstractAsyncContextManager[Conn]]
SITUATIONS: Mapping[str, Situation] = {
    situation.__name__: situation
    for situation in (
        the_other_tenant, never_set, an_empty_string, not_a_uuid, after_acmes_rollback, after_acmes_commit,
        after_acmes_cancelled_statement, the_pools_next_tenant, the_pools_next_without_tenant,
        the_pools_next_after_a_cancelled_request,
    )
}  # fmt: skip

# What is tried on acme's rows

Attempt = tuple[str, sql.Composed, Mapping[str, Any]]


def attempts(maker: RowMaker, name: str, may: Mapping[str, set[str]]) -> Iterator[Attempt]:
    """Every verb on one table. None may return, change or make a row of acme. `may` are the columns granted by verb."""
    table = maker.tables[name]
    changed = next(iter(sorted(may["UPDATE"] - {table.key})), table.key)
    parts = {"t": sql.Identifier(name), "key": sql.Identifier(table.key), "one": sql.Identifier(changed)}
    for verb, text in PLAIN.items():
        yield verb, sql.SQL(text).format(**parts), {"acme": ACME, "globex": GLOBEX}
    for verb, values in (("INSERT", maker.fresh(name, ACME)), ("INSERT of the same", maker.row(name, ACME))):
        given = {column: value for column, value in values.items() if column in may["INSERT"]}
        if given:
            given = {
                column: Jsonb(value) if isinstance(value, dict | list) else value
                for column, value in given.items()
            }
            insert = insert_of(name, given)
            yield verb, insert, given
            yield f"{verb} RETURNING", sql.SQL("{} RETURNING *").format(insert), given
            yield f"{verb} ON CONFLICT", sql.SQL("{} ON CONFLICT DO NOTHING").format(insert), given


PLAIN: Mapping[str, LiteralString] = {
    "SELECT": "SELECT * FROM {t} WHERE {key} = %(acme)s",
    "SELECT without WHERE": "SELECT * FROM {t}",
    "SELECT FOR UPDATE": "SELECT * FROM {t} WHERE {key} = %(acme)s FOR UPDATE",
    "a subquery": "SELECT * FROM (SELECT * FROM {t} OFFSET 0) AS all_of_it WHERE {key} = %(acme)s",
    "UPDATE": "UPDATE {t} SET {one} = {one} WHERE {key} = %(acme)s",
    "UPDATE of every row": "UPDATE {t} SET {one} = {one} RETURNING *",
    "UPDATE that takes acme's rows": "UPDATE {t} SET {key} = %(globex)s WHERE {key} = %(acme)s RETURNING *",
    "UPDATE that moves rows to acme": "UPDATE {t} SET {key} = %(acme)s RETURNING *",
    "DELETE": "DELETE FROM {t} WHERE {key} = %(acme)s",
    "DELETE RETURNING": "DELETE FROM {t} WHERE {key} = %(acme)s RETURNING *",
    "MERGE": "MERGE INTO {t} USING (SELECT 1) AS one ON {t}.{key} = %(acme)s WHEN MATCHED THEN DELETE",
    "TRUNCATE": "TRUNCATE {t}",
}
# These may see and touch the wrong tenant's own rows.
OWN_ROWS = {"SELECT without WHERE", "UPDATE of every row"}


async def try_all(maker: RowMaker, conn: Conn, name: str) -> list[str]:
    """Tries every verb, each in a savepoint that is kept where it succeeds. Returns what leaked, in words."""
    key, leaks = maker.tables[name].key, list[str]()
    may = {verb: await _granted(conn, name, verb) for verb in ("INSERT", "UPDATE")}
    for verb, statement, values in attempts(maker, name, may):
        try:
            async with conn.transaction():
                cursor = await conn.execute(statement, values)
                rows = await cursor.fetchall() if cursor.description else []
        except REFUSALS:
            continue
        except psycopg.IntegrityError as error:
            leaks.append(f"{verb} on {name} got as far as a constraint: {error}")
            continue
        foreign = sum(row[key] == ACME for row in rows)
        if verb == "TRUNCATE" or foreign or (cursor.rowcount > 0 and verb not in OWN_ROWS):
            leaks.append(f"{verb} on {name}: {foreign} rows seen, {cursor.rowcount} touched")
    return leaks + await _copies(conn, name)


async def _copies(conn: Conn, name: str) -> list[str]:
    """COPY in both directions."""
    leaks: list[str] = []
    with suppress(*REFUSALS):
        async with (
            conn.transaction(),
            conn.cursor() as cursor,
            cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))) as copy,
        ):
            text = b"".join([bytes(block) async for block in copy])
            if str(ACME).encode() in text:
                leaks.append(f"COPY {name} TO")
    with suppress(*REFUSALS):
        async with (
            conn.transaction(),
            conn.cursor() as cursor,
            cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))),
        ):
            pass
        leaks.append(f"COPY {name} FROM")
    return leaks


async def _granted(conn: Conn, name: str, verb: str) -> set[str]:
    cursor = await conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' AND has_column_privilege(attrelid, attnum, %s)",
        (name, verb),
    )
    return {row["attname"] for row in await cursor.fetchall()}


async def leaks_in(maker: RowMaker, situation: Situation, url: str) -> list[str]:
    """Everything that leaks in the situation, over every tenant table of the catalogue."""
    before = {name: maker.fingerprint(name, ACME) for name in maker.tables}
    leaks: list[str] = []
    async with situation(url) as conn:
        for name in maker.tables:
            leaks += await try_all(maker, conn, name)
    changed = [name for name in maker.tables if maker.fingerprint(name, ACME) != before[name]]
    return leaks + [f"acme's rows of {name} were changed" for name in changed]
