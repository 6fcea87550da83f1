"""Who is at the other end, found once for a request; and whom nobody answers."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chatbot.core.client_address import client_address
from chatbot.errors import ChatbotError
from chatbot.stages.ports import Outside
from chatbot.stages.screen import turn_away_blocked
from chatbot.web.problems import of_error

# What watches the process itself: an outage must not follow from a block.
ALWAYS_ANSWERED = frozenset({"/livez"})


class Screened:
    """Before the routes: the client's address behind trusted proxies, then everything that refuses by address."""

    def __init__(self, app: ASGIApp, outside: Outside) -> None:
        self._app = app
        self._outside = outside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer = scope["client"][0] if scope.get("client") else None
        address = client_address(
            peer,
            forwarded_for=Headers(scope=scope).getlist("x-forwarded-for"),
            trusted=self._outside.trusted_proxies,
        )
        scope.setdefault("state", {})["client_address"] = address
        try:
            if address is not None and scope["path"] not in ALWAYS_ANSWERED:
                turn_away_blocked(self._outside, address)
        except ChatbotError as error:
            await of_error(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)
