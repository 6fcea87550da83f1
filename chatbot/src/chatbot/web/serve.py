"""`chatbot serve`."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta
from types import FrameType

import structlog
import uvicorn

from chatbot.bootstrap import outside
from chatbot.config import Settings
from chatbot.errors import EmbeddingModelChanged, StoreUnavailable, UnsafeDatabase
from chatbot.stages.ports import Outside
from chatbot.stages.repeat import verify, verify_until_done
from chatbot.web.app import create_app
from chatbot.web.background import keep_orders, run_loops
from chatbot.web.drain import Drain

log = structlog.get_logger()

# Request line and headers together.
LARGEST_HEAD = 32 * 1024
KEEP_ALIVE_SECONDS = 15

# New objects that are left over before the young, the middle and the old are looked through; Python's own are 700, 10, 10.
COLLECT_AFTER = (20_000, 20, 50)

# After the streams have ended or were cut: what is left of other requests.
STOP_SECONDS = 5


class Server(uvicorn.Server):
    """Drains at the first signal, while it goes on to answer readiness, health and the admin API; stops at the second."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain
        self._stopping: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn for SIGTERM and SIGINT."""
        if self._stopping is not None:
            super().handle_exit(sig, frame)
            return
        loop = asyncio.get_running_loop()
        self._stopping = loop.create_task(self._stop_when_drained())

    async def _stop_when_drained(self) -> None:
        self._drain.begin()
        await self._drain.emptied()
        self.should_exit = True


async def serve(settings: Settings) -> None:
    """Serves until stopped. Raises UnsafeDatabase when the database does not keep tenants apart,
    EmbeddingModelChanged when its vectors are another model's.

    Starts without PostgreSQL: maintenance mode and health work, questions are answered with 503 until it is there
    and has passed the boot check.
    """
    async with outside(settings) as parts:
        try:
            await verify(parts)
        except StoreUnavailable as error:
            log.error("started_without_database", error=str(error))
        drain = Drain(timedelta(seconds=settings.drain_seconds))
        server = Server(
            uvicorn.Config(
                create_app(parts, admin_token=settings.admin_token, drain=drain),
                host=settings.host,
                port=settings.port,
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                timeout_graceful_shutdown=STOP_SECONDS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                http="h11",  # it bounds the head of a request; the other parser takes any
                h11_max_incomplete_event_size=LARGEST_HEAD,
            ),
            drain,
        )
        background = asyncio.create_task(_background(parts, server, drain))
        orders = asyncio.create_task(keep_orders(parts))
        _spare_what_stays()
        try:
            log.info("serving", host=settings.host, port=settings.port)
            await server.serve()
        finally:
            for task in (background, orders):
                task.cancel()
            await asyncio.wait({background, orders})
        if not background.cancelled() and (fault := background.exception()):
            raise fault


def _spare_what_stays() -> None:
    """What is here by now stays as long as the process: not looked through again for what could be freed.

    A look through all of it stopped every answer for up to 0.1 s, and took a seventh of the time of a cached one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _background(parts: Outside, server: uvicorn.Server, drain: Drain) -> None:
    try:
        await verify_until_done(parts)
        await run_loops(parts, drain)
    except (UnsafeDatabase, EmbeddingModelChanged) as error:
        log.critical("unsafe_database", error=str(error))
        server.should_exit = True
        raise
