"""Pure ASGI middleware: counts, a limit on bodies, a request's id, careful headers. It never waits for a whole answer."""

from __future__ import annotations

import time
import uuid

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatbot.telemetry import REQUEST_SECONDS, REQUESTS

BODY_LIMIT = 64 * 1024

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
# What asks after the service is not the service's work: it would hide failures among its own successes.
_NOT_COUNTED = ("/metrics", "/livez", "/api/health")
log = structlog.get_logger()


class _TooLarge(Exception):
    pass


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        request_id = uuid.uuid4().hex[:16]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer = _Answer(send, request_id)
        try:
            if _declared(scope) > BODY_LIMIT:
                await answer.refuse()
            else:
                await self._app(scope, _limited(receive, answer), answer.send)
        except _TooLarge:
            await answer.refuse()
        except Exception as error:
            log.exception("request_failed", path=scope["path"], error=type(error).__name__)
            await answer.fail()
        finally:
            if not scope["path"].startswith(_NOT_COUNTED):
                route = getattr(scope.get("route"), "path", "other")
                REQUESTS.labels(method=scope["method"], route=route, status=str(answer.status or 499)).inc()
                REQUEST_SECONDS.labels(route=route).observe((answer.began_at or time.monotonic()) - began)


class _Answer:
    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None
        self.began_at: float | None = None
        self.too_large = False

    async def send(self, message: Message) -> None:
        if self.too_large and self.status is None:
            # Frameworks turn a failed read of the body into an answer of their own; this one says why.
            await self.refuse()
        elif not self.too_large:
            await self._pass(message)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.began_at = time.monotonic()
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def refuse(self) -> None:
        await self._plain(
            413, "Too large", f"The body is larger than {BODY_LIMIT} bytes. Send a shorter question."
        )

    async def fail(self) -> None:
        await self._plain(
            500, "Failed", f"An error of this service. Tell the operator the id {self._request_id}."
        )

    async def _plain(self, status: int, title: str, detail: str) -> None:
        if self.status is not None:
            return
        body = f'{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}'.encode()
        headers = [(b"content-type", b"application/problem+json")]
        await self._pass({"type": "http.response.start", "status": status, "headers": headers})
        await self._pass({"type": "http.response.body", "body": body})


def _declared(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _limited(receive: Receive, answer: _Answer) -> Receive:
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_LIMIT:
            answer.too_large = True
            raise _TooLarge
        return message

    return limited
