"""The door to PostgreSQL. A tenant's data is reached through `as_tenant` only, which sets whose it is for one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import structlog
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from chatbot.core.passage import TenantId
from chatbot.errors import StoreUnavailable
from chatbot.telemetry import POOL

Conn = AsyncConnection[DictRow]

log = structlog.get_logger()

# How long a request may wait for a connection before it is refused: longer waits only pile up.
WAIT_SECONDS = 3.0
RECONNECT_SECONDS = 1.0


class Database:
    """A pool of connections as the application's role. Use as an async context manager."""

    def __init__(self, url: str, *, size: int, application: str) -> None:
        self._url = url
        self._pool: AsyncConnectionPool[Conn] = AsyncConnectionPool(
            url,
            connection_class=Conn,
            min_size=1,
            max_size=size,
            open=False,
            timeout=WAIT_SECONDS,
            reconnect_timeout=WAIT_SECONDS,
            # No prepared statements: transaction poolers do not keep them, and a generic plan cannot know the tenant.
            kwargs={"row_factory": dict_row, "application_name": application, "prepare_threshold": None},
            check=AsyncConnectionPool.check_connection,  # pyright: ignore[reportArgumentType]
        )

    async def __aenter__(self) -> Database:
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Conn]:
        """A transaction of no tenant: it sees no tenant's rows. Raises StoreUnavailable."""
        try:
            async with self._pool.connection() as conn, conn.transaction():
                yield conn
        except (PoolTimeout, PoolClosed, psycopg.OperationalError) as error:
            raise StoreUnavailable(f"PostgreSQL does not answer: {error}".strip()) from error

    @asynccontextmanager
    async def as_tenant(self, tenant_id: TenantId) -> AsyncGenerator[Conn]:
        """A transaction of one tenant. The setting ends with it, so that the next borrower starts without a tenant."""
        async with self.transaction() as conn:
            await conn.execute("SELECT set_config('app.tenant_id', %s, true)", (str(tenant_id),))
            yield conn

    def count(self) -> None:
        """Puts the pool's figures into the metrics."""
        figures = self._pool.get_stats()
        size, free = figures.get("pool_size", 0), figures.get("pool_available", 0)
        POOL.labels(state="idle").set(free)
        POOL.labels(state="in_use").set(size - free)
        POOL.labels(state="waiting").set(figures.get("requests_waiting", 0))

    async def listen(self, channel: str, *, on_ready: Callable[[], None]) -> AsyncIterator[str]:
        """The payloads notified on `channel`, for ever. `on_ready` is called each time listening has begun anew."""
        while True:
            try:
                async with await AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=3, application_name="chatbot listen"
                ) as conn:
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    on_ready()
                    async for note in conn.notifies():
                        yield note.payload
            except psycopg.OperationalError as error:
                log.warning("listen_lost", channel=channel, reason=str(error).strip())
                await asyncio.sleep(RECONNECT_SECONDS)
