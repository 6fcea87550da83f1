"""The door to PostgreSQL: a pool, and two kinds of transaction, with a tenant and without.

Every statement about a tenant runs in `tenant(tenant_id)`, which sets `app.tenant_id` for that transaction only
(`SET LOCAL`), as a transaction pooler demands. Row-level security compares every row with it.
Until the boot check has passed, the door stays shut.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from chatbot.core.tenancy import TenantId
from chatbot.errors import StoreUnavailable, Unauthenticated
from chatbot.store.boot_check import check_database

Conn = AsyncConnection[DictRow]
# A statement with named values.
Asked = tuple[LiteralString, Mapping[str, Any]]

# A person waits at the other end: better a clear refusal than a long silence.
WAIT_SECONDS = 3.0
CONNECT_SECONDS = 3
# Some connections are idle for long: what lies between must not forget them, and a dead one is found out before it is needed.
# Seconds, seconds, times.
KEEP_ALIVE = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 3}
# So many may wait for a connection; the next is refused at once.
WAITING_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """Connections of the pool, and the requests that wait for one."""

    in_use: int
    idle: int
    largest: int
    waiting: int


class _LastFirst(deque[Conn]):
    """Gives out what was put back last."""

    def popleft(self) -> Conn:
        return self.pop()


class _Pool(AsyncConnectionPool[Conn]):
    """Gives out the connection that was used last, whose process at the other end has its plans at hand.

    In turn, as the library gives them, it would be a cold one each time: an answer took 0.1 ms longer.
    """

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._pool = _LastFirst()


class Database:
    """A pool of connections. Use as an async context manager, then `verify`."""

    def __init__(
        self,
        url: str,
        *,
        size: int,
        application: str,
        wait_seconds: float = WAIT_SECONDS,
        checked: bool = True,
    ) -> None:
        """With `checked` False the door is open at once: for the alarm, which must work on a database that leaks."""
        self._verified = not checked
        self._pool = _Pool(
            url,
            connection_class=Conn,
            min_size=1,
            max_size=size,
            max_waiting=WAITING_LIMIT,
            open=False,
            timeout=wait_seconds,
            reconnect_timeout=CONNECT_SECONDS,
            kwargs={
                "row_factory": dict_row,
                "application_name": application,
                "connect_timeout": CONNECT_SECONDS,
                **KEEP_ALIVE,
                # Behind a transaction pooler a prepared statement belongs to somebody else.
                "prepare_threshold": None,
                # A transaction is begun by `_begun`, in one way to the database and back.
                "autocommit": True,
            },
        )

    async def __aenter__(self) -> Database:
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    async def verify(self) -> None:
        """Opens the door if roles, policies and versions keep tenants apart.

        Raises UnsafeDatabase, and StoreUnavailable when PostgreSQL does not answer.
        """
        async with self._connection() as conn:
            await check_database(conn)
        self._verified = True

    @property
    def verified(self) -> bool:
        """Whether the boot check has passed."""
        return self._verified

    @asynccontextmanager
    async def tenant(self, tenant_id: TenantId) -> AsyncGenerator[Conn]:
        """A transaction that sees this tenant's rows only. Raises StoreUnavailable."""
        async with self._open(f"BEGIN; {_become(tenant_id)}") as conn:
            yield conn

    async def at_once(self, tenant_id: TenantId, *asked: Asked) -> list[list[DictRow]]:
        """The rows of each statement, all in one transaction that sees this tenant's rows only, in one way there and back.

        Each must be one that gives rows, and bear being run twice: a connection may break after it was. They are written
        out with their values, so that the planner sees those, and sent as one text, which PostgreSQL runs as one
        transaction. Raises StoreUnavailable.
        """
        self._refuse_unverified()

        def text(cursor: AsyncClientCursor[DictRow]) -> str:
            return "; ".join(
                [_become(tenant_id), *(cursor.mogrify(statement, values) for statement, values in asked)]
            )

        with _told():
            conn, cursor = await self._sent(text)
            try:
                found: list[list[DictRow]] = []
                while cursor.nextset():
                    found.append(await cursor.fetchall())
            finally:
                await self._pool.putconn(conn)
        return found

    @asynccontextmanager
    async def snapshot(self, tenant_id: TenantId) -> AsyncGenerator[Conn]:
        """Like `tenant`, to read only, and everything as of one moment. Raises StoreUnavailable."""
        begin = f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {_become(tenant_id)}"
        async with self._open(begin) as conn:
            yield conn

    @asynccontextmanager
    async def system(self) -> AsyncGenerator[Conn]:
        """A transaction that sees no tenant's rows. Raises StoreUnavailable."""
        async with self._open("BEGIN") as conn:
            yield conn

    @asynccontextmanager
    async def _open(self, begin: str) -> AsyncGenerator[Conn]:
        self._refuse_unverified()
        async with self._connection(begin) as conn:
            yield conn

    def _refuse_unverified(self) -> None:
        if not self._verified:
            raise StoreUnavailable("PostgreSQL has not passed the boot check yet.")

    @asynccontextmanager
    async def _connection(self, begin: str = "BEGIN") -> AsyncGenerator[Conn]:
        with _told():
            conn, _ = await self._sent(lambda _: begin)
            try:
                async with conn:  # commits, or takes everything back
                    yield conn
            finally:
                await self._pool.putconn(conn)

    async def _sent(
        self, text: Callable[[AsyncClientCursor[DictRow]], str]
    ) -> tuple[Conn, AsyncCursor[DictRow]]:
        """A connection that has taken the text. One that broke while nobody used it is found out by that, and another is taken.

        So no connection has to be tried first, which would be one more way to the database for every transaction.
        """
        until = time.monotonic() + self._pool.timeout
        while True:
            conn = await self._pool.getconn(max(0.0, until - time.monotonic()))
            try:
                cursor: AsyncClientCursor[DictRow] = AsyncClientCursor(conn)
                return conn, await cursor.execute(text(cursor).encode())
            except psycopg.OperationalError:
                broken = conn.broken
                await self._pool.putconn(conn)
                if not broken:
                    raise
            except BaseException:
                await self._pool.putconn(conn)
                raise

    def use(self) -> PoolUse:
        """How busy the pool is now."""
        stats = self._pool.get_stats()
        size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        return PoolUse(
            in_use=size - idle,
            idle=idle,
            largest=self._pool.max_size,
            waiting=stats.get("requests_waiting", 0),
        )


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except TooManyRequests as error:
        raise StoreUnavailable(f"{WAITING_LIMIT} requests already wait for a database connection.") from error
    except psycopg.errors.ForeignKeyViolation as error:
        # Composite keys end otherwise: this is the tenant itself, whom a process may know for a second longer than it is there.
        if (error.diag.constraint_name or "").endswith("_tenant_id_fkey"):
            raise Unauthenticated("The key opens nothing any more: its tenant was erased.") from error
        raise
    except (PoolTimeout, PoolClosed, psycopg.OperationalError) as error:
        raise StoreUnavailable(f"PostgreSQL does not answer: {error}".strip()) from error


def _become(tenant_id: TenantId) -> str:
    """In one text with BEGIN, so that both are one way to the database; such a text can take no parameters, but a number."""
    return f"SET LOCAL app.tenant_id = '{tenant_id.int:032x}'"
