"""`chatbot work`: the queue's worker as a process, with its metrics."""

from __future__ import annotations

import asyncio
import signal

import structlog
from prometheus_client import start_http_server

from chatbot.config import Settings
from chatbot.integrations import queue as queues
from chatbot.telemetry import CANARIES

log = structlog.get_logger()


async def work(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT, and finishes the job under way."""
    start_http_server(settings.worker_metrics_port, addr=settings.host)
    redis = queues.connect(settings.redis_url)
    worker = await queues.start_worker(settings.redis_url, redis, on_canary=CANARIES.inc)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.ensure_future(worker.run())
    stopping = asyncio.ensure_future(stop.wait())
    log.info("worker_started")
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        # BullMQ's loop ends without a word on an error it did not expect: then this process ends too, to be started anew.
        log.error("worker_ended_by_itself")
    await worker.close(force=not stop.is_set())
    await redis.aclose()
    stopping.cancel()
