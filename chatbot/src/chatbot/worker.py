"""`chatbot work`: takes jobs from the queue, one function a kind of job, and beats its own heart.

BullMQ's worker ends silently on an error it did not foresee; it is watched here, and started again. Beside it the rows are
swept: what is due and not in the queue is put there, so that a lost Redis loses nothing.
"""

# bullmq has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from bullmq import Job
from prometheus_client import start_http_server
from redis.asyncio import Redis

from chatbot.bootstrap import outside
from chatbot.config import Settings
from chatbot.integrations.queue import CANARY, INGEST, NAME, finish_canary, new_worker, ref_of
from chatbot.integrations.redis import new_client
from chatbot.stages.ingest import ingest
from chatbot.stages.ports import Outside
from chatbot.stages.repeat import every, verify_until_done
from chatbot.stages.sweep import shelve, sweep
from chatbot.stages.tell import tell_for_ever
from chatbot.telemetry import JOBS, WORKER_HEARTBEAT

log = structlog.get_logger()

STOP_SECONDS = 10
RESTART_SECONDS = 1.0
SWEEP_EVERY = timedelta(seconds=1)

Handler = Callable[[Outside, Redis, Job], Awaitable[object]]
HANDLERS: dict[str, Handler] = {
    CANARY: lambda _, client, job: finish_canary(client, job),
    INGEST: lambda parts, _, job: ingest(parts, ref_of(job)),
}


async def work(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT; jobs under way may end first, for STOP_SECONDS at most, and go on elsewhere later.

    Raises UnsafeDatabase when the database does not keep tenants apart, EmbeddingModelChanged when its vectors are another
    model's.
    """
    server, thread = start_http_server(settings.worker_metrics_port, addr=settings.host)
    for name in HANDLERS:
        for result in ("done", "failed"):
            JOBS.labels(queue=NAME, name=name, result=result)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    client = new_client(settings.redis_url)
    try:
        async with outside(settings, application="chatbot work") as parts:
            log.info("working", queue=NAME, metrics_port=settings.worker_metrics_port)
            await Work(settings.redis_url, parts, client).until(stopping)
    finally:
        await client.aclose()
        server.shutdown()
        server.server_close()
        thread.join()


class Work:
    """The queue's worker, the sweeps beside it, and the jobs that are under way."""

    def __init__(self, url: str, parts: Outside, client: Redis) -> None:
        self._url = url
        self._parts = parts
        self._client = client
        self._under_way: set[asyncio.Task[Any]] = set()

    async def until(self, stopping: asyncio.Event) -> None:
        """Works until then. Raises UnsafeDatabase."""
        stopped = asyncio.create_task(stopping.wait())
        background = asyncio.create_task(self._sweeps())
        background.add_done_callback(lambda _: stopping.set())
        try:
            await self._supervise(stopped, stopping)
        finally:
            await self._end(self._under_way)
            await self._end({background, stopped})
        if not background.cancelled() and (fault := background.exception()):
            raise fault

    async def _sweeps(self) -> None:
        await verify_until_done(self._parts)
        async with asyncio.TaskGroup() as group:
            group.create_task(tell_for_ever(self._parts))
            group.create_task(every(SWEEP_EVERY, "sweep", lambda: sweep(self._parts)))
            group.create_task(every(SWEEP_EVERY, "shelve", lambda: shelve(self._parts)))

    async def _end(self, tasks: set[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _supervise(self, stopped: asyncio.Task[Any], stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            running = asyncio.create_task(self._run(stopped))
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set():
                await asyncio.wait({running}, timeout=STOP_SECONDS)
                running.cancel()
                await asyncio.wait({running})
                return
            fault = None if running.cancelled() else running.exception()
            log.error("worker_ended", error=str(fault) if fault else "its loop ended without a word")
            await asyncio.sleep(RESTART_SECONDS)

    async def _run(self, stopped: asyncio.Task[Any]) -> None:
        worker = await new_worker(self._url, lambda job, _: self.process(job))
        worker.on("error", _tell)
        running = asyncio.create_task(worker.run())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await worker.close()
        await running

    async def process(self, job: Job) -> None:
        """Does one job. What it raises makes the job fail, with the reason kept by BullMQ."""
        name = job.name if job.name in HANDLERS else "unknown"
        result = "failed"
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
        try:
            handler = HANDLERS.get(job.name)
            if handler is None:
                raise LookupError(f"no worker of this version knows the job '{job.name}'")
            await handler(self._parts, self._client, job)
            result = "done"
        finally:
            with suppress(KeyError):
                self._under_way.remove(task)  # pyright: ignore[reportArgumentType]
            JOBS.labels(queue=NAME, name=name, result=result).inc()
            WORKER_HEARTBEAT.labels(queue=NAME).set(time.time())


def _tell(error: object, *_: object) -> None:
    log.warning("worker_error", error=str(error))
