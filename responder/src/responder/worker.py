"""The loop: find what is due, claim it, run its stage, record, repeat. Any number of workers may run.

It is woken by NOTIFY and, since a notification can be lost, by a short poll beneath.
"""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import timedelta

import structlog
from prometheus_client import start_http_server

from responder.bootstrap import WORKER_CONNECTIONS, outside
from responder.config import Settings
from responder.core.clock import Clock
from responder.errors import Conflict, ResponderError, StoreUnavailable
from responder.stages import STAGES, Stage
from responder.stages.ports import Outside
from responder.store import due
from responder.store.due import Claim
from responder.telemetry import HEARTBEAT, STAGE_RUNS, STAGE_SECONDS

log = structlog.get_logger()

# A timer is late by at most this, also when the notification that would have woken the loop was lost.
POLL = timedelta(milliseconds=500)
STORE_GONE = timedelta(seconds=1)


class Worker:
    """Runs the stages until cancelled. A row under way at that moment is given up and taken up by the next worker."""

    def __init__(self, outside: Outside, stages: tuple[Stage, ...] = STAGES) -> None:
        self._outside = outside
        self._stages = stages
        self._wake = asyncio.Event()
        self._busy: dict[str, set[asyncio.Task[None]]] = {stage.name: set() for stage in stages}

    async def run(self) -> None:
        """The loop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                self._wake.clear()
                try:
                    await self.round(group)
                except StoreUnavailable as error:
                    log.warning("store_unavailable", error=str(error))
                    await asyncio.sleep(STORE_GONE.total_seconds())
                HEARTBEAT.set_to_current_time()
                try:
                    async with asyncio.timeout(POLL.total_seconds()):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def round(self, group: asyncio.TaskGroup) -> int:
        """Claims what is due, as far as each stage has room, and starts it; returns how many rows that were."""
        started = 0
        now = self._outside.clock.now()
        async with self._outside.database.transaction() as conn:
            ready = await due.ready(conn, [stage.queue for stage in self._stages], now=now)
        for stage in self._stages:
            room = stage.side_by_side - len(self._busy[stage.name])
            if stage.queue.table not in ready or room <= 0:
                continue
            async with self._outside.database.transaction() as conn:
                claims = await due.claim(conn, stage.queue, now=now, limit=room)
            for claimed in claims:
                task = group.create_task(self._work(stage, claimed))
                self._busy[stage.name].add(task)
                task.add_done_callback(lambda done, name=stage.name: self._done(name, done))
            started += len(claims)
        return started

    async def settle(self) -> None:
        """Works until nothing is due: for tests, and for emptying a queue by hand."""
        async with asyncio.TaskGroup() as group:
            while True:
                # What ends during a round may have made new work after the round had looked.
                idle = not any(self._busy.values())
                if not await self.round(group) and idle:
                    return
                if tasks := [task for busy in self._busy.values() for task in busy]:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        self._busy[name].discard(task)
        self._wake.set()

    async def _listen(self) -> None:
        async for _ in self._outside.database.listen("due", on_ready=self._wake.set):
            self._wake.set()

    async def _work(self, stage: Stage, claimed: Claim) -> None:
        """Runs one row. Whatever fails is recorded on the row and tried again: one bad row must not stop the loop."""
        began = time.monotonic()
        result = "done"
        try:
            async with asyncio.timeout(stage.limit.total_seconds()):
                await stage.run(self._outside, claimed)
        except Conflict as error:
            result = "lost"
            log.info("row_lost", stage=stage.name, id=claimed.id, error=str(error))
        except (ResponderError, TimeoutError) as error:
            result = "retried"
            await self._retry(stage, claimed, f"{type(error).__name__}: {error}")
        except Exception as error:
            result = "failed"
            log.exception("row_failed", stage=stage.name, id=claimed.id)
            await self._retry(stage, claimed, f"{type(error).__name__}: {error}")
        STAGE_RUNS.labels(stage=stage.name, result=result).inc()
        STAGE_SECONDS.labels(stage=stage.name).observe(time.monotonic() - began)

    async def _retry(self, stage: Stage, claimed: Claim, error: str) -> None:
        text = self._outside.policies.bindings.redact(error)[:500]
        wait = min(stage.retry * 2 ** min(claimed.failures, 16), stage.retry_most)
        log.warning("row_retried", stage=stage.name, id=claimed.id, seconds=wait.total_seconds(), error=text)
        try:
            async with self._outside.database.transaction() as conn:
                due_at = self._outside.clock.now() + wait
                await due.postpone(conn, stage.queue, claimed, due_at=due_at, error=text)
        except (Conflict, StoreUnavailable) as lost:
            # The lease runs out and another worker takes the row up.
            log.warning("retry_not_recorded", stage=stage.name, id=claimed.id, error=str(lost))


async def work(settings: Settings, clock: Clock) -> None:
    """Works until SIGTERM or SIGINT. What is under way then is given up: its lease runs out, the next worker takes it up."""
    start_http_server(settings.worker_metrics_port, addr=settings.host)
    async with outside(
        settings, clock, connections=WORKER_CONNECTIONS, application="responder work"
    ) as parts:
        running = asyncio.create_task(Worker(parts).run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        log.info("worker_started", runbooks=len(parts.library.runbooks))
        try:
            await running
        except asyncio.CancelledError:
            log.info("worker_stopped")
