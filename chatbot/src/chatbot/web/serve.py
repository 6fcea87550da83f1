"""`chatbot serve`."""

from __future__ import annotations

import asyncio

import structlog
import uvicorn

from chatbot.bootstrap import outside
from chatbot.config import Settings
from chatbot.errors import StoreUnavailable, UnsafeDatabase
from chatbot.stages.ports import Outside
from chatbot.web.app import create_app
from chatbot.web.background import run_loops, verify_until_done

log = structlog.get_logger()

# Streams that are under way may end by themselves; after this they are cut.
STOP_SECONDS = 5


async def serve(settings: Settings) -> None:
    """Serves until stopped. Raises UnsafeDatabase when the database does not keep tenants apart.

    Starts without PostgreSQL: maintenance mode and health work, questions are answered with 503 until it is there
    and has passed the boot check.
    """
    async with outside(settings) as parts:
        try:
            await parts.database.verify()
        except StoreUnavailable as error:
            log.error("started_without_database", error=str(error))
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(parts, admin_token=settings.admin_token),
                host=settings.host,
                port=settings.port,
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        background = asyncio.create_task(_background(parts, server))
        try:
            log.info("serving", host=settings.host, port=settings.port)
            await server.serve()
        finally:
            background.cancel()
            await asyncio.wait({background})
        if not background.cancelled() and (fault := background.exception()):
            raise fault


async def _background(parts: Outside, server: uvicorn.Server) -> None:
    try:
        await verify_until_done(parts)
        await run_loops(parts)
    except UnsafeDatabase as error:
        log.critical("unsafe_database", error=str(error))
        server.should_exit = True
        raise
