"""`chatbot work`: takes jobs from the queue, one function a kind of job, and beats its own heart.

BullMQ's worker ends silently on an error it did not foresee; it is watched here, and started again.
"""

# bullmq has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from bullmq import Job
from prometheus_client import start_http_server
from redis.asyncio import Redis

from chatbot.config import Settings
from chatbot.integrations.queue import CANARY, NAME, finish_canary, new_worker
from chatbot.integrations.redis import new_client
from chatbot.telemetry import JOBS, WORKER_HEARTBEAT

log = structlog.get_logger()

STOP_SECONDS = 10
RESTART_SECONDS = 1.0

Handler = Callable[[Redis, Job], Awaitable[None]]
# Ingestion will stand here too.
HANDLERS: dict[str, Handler] = {CANARY: finish_canary}


async def work(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT; jobs under way may end first, for STOP_SECONDS at most."""
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
        log.info("working", queue=NAME, metrics_port=settings.worker_metrics_port)
        await _supervise(settings.redis_url, client, stopping)
    finally:
        await client.aclose()
        server.shutdown()
        server.server_close()
        thread.join()


async def _supervise(url: str, client: Redis, stopping: asyncio.Event) -> None:
    stopped = asyncio.create_task(stopping.wait())
    while not stopping.is_set():
        running = asyncio.create_task(_run(url, client, stopped))
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            await asyncio.wait({running}, timeout=STOP_SECONDS)
            running.cancel()
            await asyncio.wait({running})
            return
        fault = None if running.cancelled() else running.exception()
        log.error("worker_ended", error=str(fault) if fault else "its loop ended without a word")
        await asyncio.sleep(RESTART_SECONDS)


async def _run(url: str, client: Redis, stopped: asyncio.Task[Any]) -> None:
    worker = await new_worker(url, lambda job, _: process(client, job))
    worker.on("error", _tell)
    running = asyncio.create_task(worker.run())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    await worker.close()
    await running


def _tell(error: object, *_: object) -> None:
    log.warning("worker_error", error=str(error))


async def process(client: Redis, job: Job) -> None:
    """Does one job. What it raises makes the job fail, with the reason kept by BullMQ."""
    name = job.name if job.name in HANDLERS else "unknown"
    result = "failed"
    try:
        handler = HANDLERS.get(job.name)
        if handler is None:
            raise LookupError(f"no worker of this version knows the job '{job.name}'")
        await handler(client, job)
        result = "done"
    finally:
        JOBS.labels(queue=NAME, name=name, result=result).inc()
        WORKER_HEARTBEAT.labels(queue=NAME).set(time.time())
