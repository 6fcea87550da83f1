"""Who is at the other end, found once for a request; and whom nobody answers."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chatbot.core.client_address import client_address, limited_as
from chatbot.core.limits import Who, route_of
from chatbot.errors import ChatbotError
from chatbot.stages.limit import limit
from chatbot.stages.ports import Outside
from chatbot.stages.screen import check_host, turn_away_blocked
from chatbot.web.problems import of_error

# What watches the process itself: an outage must not follow from a block or a limit.
ALWAYS_ANSWERED = frozenset({"/livez"})
NEVER_LIMITED = frozenset({"/metrics"})


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
        at_end: list[Callable[[], None]] = []
        scope.setdefault("state", {}).update(client_address=address, at_end=at_end)
        try:
            check_host(Headers(scope=scope).get("host", ""), scope["path"], self._outside.allowed_hosts)
            if address is not None and scope["path"] not in ALWAYS_ANSWERED:
                turn_away_blocked(self._outside, address)
                if scope["path"] not in NEVER_LIMITED:
                    route = route_of(scope["method"], scope["path"])
                    await limit(self._outside, route, {Who.IP: limited_as(address)})
        except ChatbotError as error:
            await of_error(error)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            for give_back in at_end:
                give_back()
