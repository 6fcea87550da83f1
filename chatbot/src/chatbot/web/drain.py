"""Draining: no new questions, streams that run may end within a limit, health and the admin API go on."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import structlog

from chatbot.errors import Draining

log = structlog.get_logger()


class Drain:
    """The streams of this process, and whether it takes new ones. `limit` is how long they may go on once it does not."""

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit
        self.draining = False
        self._cuts: set[asyncio.Future[None]] = set()
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
    def stream(self) -> Generator[asyncio.Future[None]]:
        """Round a stream: the future is done when it must end now."""
        cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cuts.add(cut)
        self._empty.clear()
        try:
            yield cut
        finally:
            self._cuts.discard(cut)
            if not self._cuts:
                self._empty.set()

    async def emptied(self) -> None:
        """Returns when no stream is under way."""
        await self._empty.wait()

    def _cut(self) -> None:
        log.warning("drain_cut", running=self.running, limit_seconds=self.limit.total_seconds())
        for cut in self._cuts:
            if not cut.done():
                cut.set_result(None)
