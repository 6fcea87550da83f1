"""The application, and how it is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from chatbot.bootstrap import POOL_SIZE, house
from chatbot.config import Settings
from chatbot.telemetry import present_from_the_start
from chatbot.web import admin, chat, health, problems
from chatbot.web.middleware import Middleware
from chatbot.web.state import Web
from chatbot.web.watch import Watch, stop

# Streams under way may finish for this long before a stop.
DRAIN_SECONDS = 5


def create_app(settings: Settings, *, pool_size: int = POOL_SIZE) -> FastAPI:
    """The whole application; its connections open, and the boot check runs, when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with house(settings, application="chatbot serve", pool_size=pool_size) as opened:
            watch = Watch(opened)
            await watch.refresh()
            app.state.web = Web(settings=settings, house=opened, watch=watch)
            watching = asyncio.create_task(watch.run())
            yield
            await stop(watching)

    app = FastAPI(
        title="bitb-chatbot",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.add_middleware(Middleware)
    problems.install(app)
    for routes in (chat, admin, health):
        app.include_router(routes.router)
    present_from_the_start([("POST", "/api/chat")])
    return app


def serve(settings: Settings) -> None:
    """Serves until stopped."""
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
