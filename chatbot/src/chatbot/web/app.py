"""The application: routes and what is around them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

from chatbot.stages.check import Checks
from chatbot.stages.ports import Outside
from chatbot.stages.watch import QUEUE
from chatbot.telemetry import initialise_series
from chatbot.web import admin, chat, health, problems
from chatbot.web.middleware import PRODUCT_ROUTES, Guarded, Observed


def create_app(outside: Outside, *, admin_token: str) -> ASGIApp:
    """The application over parts that are already open."""
    app = FastAPI(title="bitb-chatbot", docs_url=None, redoc_url=None)
    app.state.outside = outside
    app.state.admin_token = admin_token
    app.state.checks = Checks(outside)
    problems.install(app)
    for part in (chat, health, admin):
        app.include_router(part.router)
    initialise_series(product_routes=PRODUCT_ROUTES, queue=QUEUE)
    return Observed(Guarded(app))
