"""The door to PostgreSQL: a pool, a transaction, and the listening connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any, LiteralString, TypeVar

import psycopg
import structlog
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from responder.errors import StoreUnavailable

Conn = AsyncConnection[DictRow]
V = TypeVar("V")

log = structlog.get_logger()

# Long enough for a failover of seconds, short enough that a webhook is refused before Alertmanager gives up.
CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0


class Database:
    """A pool of connections. Use as an async context manager."""

    def __init__(self, url: str, *, size: int, application: str) -> None:
        self._url = url
        self._pool: AsyncConnectionPool[Conn] = AsyncConnectionPool(
            url,
            connection_class=Conn,
            min_size=1,
            max_size=size,
            open=False,
            timeout=CONNECT_SECONDS,
            reconnect_timeout=CONNECT_SECONDS,
            kwargs={"row_factory": dict_row, "application_name": application},
            check=AsyncConnectionPool.check_connection,  # pyright: ignore[reportArgumentType]
        )

    async def __aenter__(self) -> Database:
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Conn]:
        """A connection inside a transaction: all of it or nothing. Raises StoreUnavailable when PostgreSQL is gone."""
        try:
            async with self._pool.connection() as conn, conn.transaction():
                yield conn
        except (PoolTimeout, PoolClosed, psycopg.OperationalError) as error:
            raise StoreUnavailable(f"PostgreSQL does not answer: {error}".strip()) from error

    async def listen(self, channel: str, *, on_ready: Callable[[], None] | None = None) -> AsyncIterator[str]:
        """The payloads notified on `channel`, for ever, reconnecting when PostgreSQL goes away.

        What is notified while there is no connection is lost: whoever listens must also poll.
        `on_ready` is called each time listening has begun.
        """
        while True:
            try:
                async with await AsyncConnection.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=int(CONNECT_SECONDS),
                    application_name="responder listen",
                ) as conn:
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    if on_ready:
                        on_ready()
                    async for note in conn.notifies():
                        yield note.payload
            except psycopg.OperationalError as error:
                log.warning("listen_lost", channel=channel, error=str(error).strip())
                await asyncio.sleep(RECONNECT_SECONDS)


async def insert_many(conn: Conn, statement: LiteralString, rows: Sequence[Sequence[Any]]) -> None:
    """The same statement for each row, in one way to the database and back."""
    async with conn.cursor() as cursor:
        await cursor.executemany(statement, rows)


def one(row: DictRow | None) -> dict[str, Any]:
    """The row of a statement that always gives one."""
    if row is None:
        raise LookupError("a statement that always returns a row returned none")
    return row


def value(noun: type[V], row: DictRow, **parsed: Any) -> V:
    """The frozen value of a row: its fields from the columns of the same names, or from `parsed` where given."""
    columns: dict[str, Any] = {**row, **parsed}
    return noun(**{field.name: columns[field.name] for field in fields(noun)})  # pyright: ignore[reportArgumentType]
