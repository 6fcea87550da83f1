"""The application: routes and what is around them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from starlette.types import ASGIApp

from chatbot.stages.check import Checks
from chatbot.stages.ports import Outside
from chatbot.stages.watch import QUEUE
from chatbot.telemetry import initialise_series
from chatbot.web import (
    admin,
    chat,
    controls,
    conversations,
    documents,
    health,
    orders,
    pages,
    problems,
    settings,
    sign_in,
    tenants,
    widget,
)
from chatbot.web.accounts import include_accounts
from chatbot.web.described import Described
from chatbot.web.drain import Drain
from chatbot.web.middleware import PRODUCT_ROUTES, Guarded, Observed
from chatbot.web.origins import Origins
from chatbot.web.screened import Screened

DRAIN_LIMIT = timedelta(seconds=30)
UPLOADS_AT_ONCE = 4


def create_app(outside: Outside, *, admin_token: str, drain: Drain | None = None) -> ASGIApp:
    """The application over parts that are already open."""
    # A redirect would repeat whatever Host the client wrote.
    app = Described(title="bitb-chatbot", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.outside = outside
    app.state.admin_token = admin_token
    app.state.checks = Checks(outside)
    app.state.drain = drain or Drain(DRAIN_LIMIT)
    app.state.upload_room = asyncio.Semaphore(UPLOADS_AT_ONCE)
    problems.install(app)
    for part in (
        chat, conversations, documents, health, sign_in, widget, admin, controls, orders, settings, tenants, pages,
    ):  # fmt: skip
        app.include_router(part.router)
    include_accounts(app.router)
    app.mount("/static", pages.PublicFiles(), name="static")
    initialise_series(product_routes=PRODUCT_ROUTES, queue=QUEUE)
    return Observed(Guarded(Screened(Origins(app, outside), outside)))
