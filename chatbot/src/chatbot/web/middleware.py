"""Around every request, as plain ASGI: a stream passes through untouched and a disconnect is seen.

Observed     request id, metrics of product routes, one log line, and a document for an error nobody caught
Guarded      security headers, and a bound on the body
"""

from __future__ import annotations

import asyncio
import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatbot.core.documents import LARGEST_DOCUMENT
from chatbot.telemetry import HTTP_REQUESTS, HTTP_SECONDS
from chatbot.web.problems import of_fault

log = structlog.get_logger()

# What the alerts count. Health, metrics and the admin API are not the product.
PRODUCT_ROUTES = frozenset({("POST", "/api/chat")})
LARGEST_BODY = 64 * 1024
# The bodies that may be larger.
LARGEST_BODIES = {("POST", "/api/documents"): LARGEST_DOCUMENT}
# Seconds in which a body must be here: whoever sends a byte now and then must not hold a request for ever.
BODY_TIME = 30.0
BODY_TIMES = {("POST", "/api/documents"): 300.0}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# As they are sent; the names in small letters, as those of the routes are.
_SECURITY_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class Observed:
    """Outermost: whatever happens inside is counted, logged and answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        began = time.monotonic()
        try:
            await self._app(scope, receive, observed_send)
        except Exception:  # the boundary: an error that nobody foresaw
            log.exception("request_failed", method=scope["method"], path=scope["path"])
            if not status:
                await of_fault()(scope, receive, observed_send)
            status = 500
        finally:
            _count(scope, status, time.monotonic() - began)


def _count(scope: Scope, status: int, seconds: float) -> None:
    method, route = scope["method"], getattr(scope.get("route"), "path", scope["path"])
    if (method, route) not in PRODUCT_ROUTES:
        return
    if status:  # else the client left before there was an answer
        HTTP_REQUESTS.labels(method=method, route=route, status=str(status)).inc()
        HTTP_SECONDS.labels(method=method, route=route).observe(seconds)
    log.info("request", method=method, route=route, status=status, seconds=round(seconds, 4))


class Guarded:
    """Security headers on every answer; bodies above the path's limit are refused before they are read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        limit = LARGEST_BODIES.get((scope["method"], scope["path"]), LARGEST_BODY)
        too_large = announced.isdecimal() and int(announced) > limit
        taken, complete = 0, False
        until = asyncio.get_running_loop().time() + BODY_TIMES.get(
            (scope["method"], scope["path"]), BODY_TIME
        )

        async def bounded_receive() -> Message:
            nonlocal taken, complete
            if too_large:
                raise _refusal(f"The body has {announced} bytes", limit)
            if complete:  # what comes now is that the client has left
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, "The body did not arrive in time.") from error
            complete = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _refusal(f"The body has more than {limit} bytes", limit)
            return message

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                missing = [header for header in _SECURITY_HEADERS if header[0] not in given]
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        await self._app(scope, bounded_receive, guarded_send)


def _refusal(what: str, limit: int) -> HTTPException:
    return HTTPException(413, f"{what}; at most {limit} are taken.")
