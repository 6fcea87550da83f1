"""The server: alerts in, incidents and approvals for people, the status page, health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from responder.bootstrap import WEB_CONNECTIONS, outside
from responder.config import Settings
from responder.core.clock import Clock
from responder.integrations.links import Signer
from responder.web import (
    acknowledgements,
    alerts,
    api,
    console,
    health,
    problems,
    security_events,
    sign_in,
    status,
)
from responder.web.guard import Guard
from responder.web.live import Live
from responder.web.state import Web

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings, clock: Clock) -> FastAPI:
    """The whole application; its connections open when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with outside(
            settings, clock, connections=WEB_CONNECTIONS, application="responder serve"
        ) as parts:
            live = Live(parts.database)
            app.state.web = Web(
                settings=settings, outside=parts, signer=Signer(settings.secret_key, clock), live=live
            )
            listening = asyncio.create_task(live.run())
            yield
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    app = FastAPI(
        title="bitb responder",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.add_middleware(Guard)
    problems.install(app)
    for routes in (alerts, security_events, acknowledgements, sign_in, api, console, status, health):
        app.include_router(routes.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
