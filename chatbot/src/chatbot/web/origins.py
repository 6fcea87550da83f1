"""Which pages of other origins may ask: those that a widget key names, and only where the widget asks."""

from __future__ import annotations

from collections import OrderedDict

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatbot.core.origins import check_origin
from chatbot.errors import BadRequest, ChatbotError, Forbidden, StoreUnavailable
from chatbot.stages.ports import Outside
from chatbot.store.widget_keys import origin_is_listed
from chatbot.web.problems import of_error

WIDGET_PATHS = frozenset({"/api/chat", "/api/widget/sessions"})
# A changed list is in force within this time, as everything about keys is.
BELIEVED_SECONDS = 1.0
MOST_ORIGINS = 5_000
PREFLIGHT_SECONDS = 600


class Origins:
    """Cross-origin requests. An origin that is not listed gets no permission to read the answer; who asks is checked elsewhere."""

    def __init__(self, app: ASGIApp, outside: Outside) -> None:
        self._app = app
        self._outside = outside
        self._believed: OrderedDict[str, tuple[bool, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in WIDGET_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            await self._app(scope, receive, send)
            return
        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        try:
            listed = await self._listed(origin)
        except StoreUnavailable as error:
            if preflight:
                await of_error(error)(scope, receive, send)
                return
            listed = False
        if preflight:
            await _preflight(origin, listed=listed)(scope, receive, send)
            return

        async def permitting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.add_vary_header("Origin")
                if listed:
                    answer["Access-Control-Allow-Origin"] = origin
                    answer["Access-Control-Expose-Headers"] = "Retry-After, X-Request-Id"
                    answer["Cross-Origin-Resource-Policy"] = "cross-origin"
            await send(message)

        await self._app(scope, receive, permitting_send)

    async def _listed(self, origin: str) -> bool:
        now = self._outside.clocks.monotonic()
        known = self._believed.get(origin)
        if known is not None and now - known[1] < BELIEVED_SECONDS:
            return known[0]
        try:
            listed = check_origin(origin) == origin and await origin_is_listed(self._outside.database, origin)
        except BadRequest:
            listed = False
        self._believed[origin] = (listed, now)
        self._believed.move_to_end(origin)
        if len(self._believed) > MOST_ORIGINS:
            self._believed.popitem(last=False)
        return listed


def _preflight(origin: str, *, listed: bool) -> Response:
    if not listed:
        refusal: ChatbotError = Forbidden(
            f"Pages of '{origin[:80]}' may not ask here: no widget key names that origin.",
            remedy="Add the origin to a widget key of the tenant, exactly as the browser sends it.",
        )
        return of_error(refusal)
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
            "Vary": "Origin",
        },
    )
