"""`responder work`: the worker as a process, with its metrics and a clean stop."""

from __future__ import annotations

import asyncio
import signal

import structlog
from prometheus_client import start_http_server

from responder.bootstrap import WORKER_CONNECTIONS, outside
from responder.config import Settings
from responder.core.clock import Clock
from responder.worker import Worker

log = structlog.get_logger()


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
