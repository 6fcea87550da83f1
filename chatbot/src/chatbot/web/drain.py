"""The streams of this process, and what ends them before their end: a tenant that is closed, and draining.

Draining: no new questions, streams that run may end within a limit, health and the admin API go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Generator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum

import structlog

from chatbot.core.tenancy import TenantId
from chatbot.errors import Draining
from chatbot.stages.ports import Outside
from chatbot.store.tenants import closed_among

log = structlog.get_logger()


class Cut(StrEnum):
    """Why a stream must end now."""

    STOPPING = "stopping"  # the process drains, and the limit has passed
    SUSPENDED = "suspended"  # an operator closed the tenant


class Drain:
    """The streams of this process, and whether it takes new ones. `limit` is how long they may go on once it does not."""

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit
        self.draining = False
        self._cuts: dict[asyncio.Future[Cut], TenantId] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def running(self) -> int:
        """Streams under way."""
        return len(self._cuts)

    def begin(self) -> bool:
        """Takes no new question from now on. Whether that is a change."""
        if self.draining:
            return False
        self.draining = True
        log.info("drain_began", running=self.running, limit_seconds=self.limit.total_seconds())
        self._timer = asyncio.get_running_loop().call_later(self.limit.total_seconds(), self._cut)
        return True

    def end(self) -> bool:
        """Takes questions again. Whether that is a change."""
        if not self.draining:
            return False
        self.draining = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        log.info("drain_ended")
        return True

    def refuse_new(self) -> None:
        """Raises Draining unless new questions are taken."""
        if self.draining:
            raise Draining("This process is stopping and takes no new question.")

    @contextmanager
    def stream(self, tenant_id: TenantId) -> Generator[asyncio.Future[Cut]]:
        """Round a stream of the tenant: the future is done, with the reason, when it must end now."""
        cut: asyncio.Future[Cut] = asyncio.get_running_loop().create_future()
        self._cuts[cut] = tenant_id
        self._empty.clear()
        try:
            yield cut
        finally:
            del self._cuts[cut]
            if not self._cuts:
                self._empty.set()

    async def emptied(self) -> None:
        """Returns when no stream is under way."""
        await self._empty.wait()

    def tenants(self) -> set[TenantId]:
        """Those whose streams are under way."""
        return set(self._cuts.values())

    def end_streams_of(self, tenants: Collection[TenantId]) -> None:
        """Ends every stream of these tenants now."""
        ended = [cut for cut, tenant_id in self._cuts.items() if tenant_id in tenants and not cut.done()]
        for cut in ended:
            cut.set_result(Cut.SUSPENDED)
        if ended:
            log.warning("streams_cut", running=len(ended), tenant_ids=sorted(map(str, tenants)))

    def _cut(self) -> None:
        log.warning("drain_cut", running=self.running, limit_seconds=self.limit.total_seconds())
        for cut in self._cuts:
            if not cut.done():
                cut.set_result(Cut.STOPPING)


async def cut_closed_tenants(outside: Outside, drain: Drain) -> None:
    """Ends the streams of tenants that were suspended or erased meanwhile.

    PostgreSQL is asked, so that it holds in every process and without Redis. Raises StoreUnavailable.
    """
    if running := drain.tenants():
        drain.end_streams_of(await closed_among(outside.database, running))
