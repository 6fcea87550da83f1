"""Server-sent events that end upstream as soon as nobody reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any

import orjson
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from chatbot.core.tenancy import TenantId
from chatbot.web.drain import Cut, Drain

# Proxies close what is silent for longer.
KEEP_ALIVE = timedelta(seconds=15)
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

Event = tuple[str, dict[str, Any]]
# What the reader of a cut stream is told: detail and remedy.
_TOLD = {
    Cut.STOPPING: (
        "This process is stopping and the time for its last answers is over.",
        "Ask again: another process answers, or this one after its restart.",
    ),
    Cut.SUSPENDED: (
        "The tenant was suspended while this answer was given.",
        "Nothing is answered until an operator opens the tenant again.",
    ),
}


class EventStream(Response):
    """Sends (name, data) events. A disconnect cancels the events' generator where it stands.

    So does what cuts the tenant's streams; then the reader is told. `unread` is for the events that were never begun,
    since a generator that did not start cannot clean up.
    """

    def __init__(
        self,
        events: AsyncGenerator[Event],
        drain: Drain,
        tenant_id: TenantId,
        *,
        unread: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._events = events
        self._drain = drain
        self._tenant_id = tenant_id
        self._unread = unread
        self._begun = False
        self._frames: list[bytes] = []
        self._laid_out = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(receive, send)
        finally:
            if not self._begun:
                await asyncio.shield(asyncio.ensure_future(self._unread()))

    async def _answer(self, receive: Receive, send: Send) -> None:
        with self._drain.stream(self._tenant_id) as cut:
            sending = asyncio.create_task(self._send(send))
            leaving = asyncio.create_task(left(receive))
            try:
                await asyncio.wait({sending, leaving, cut}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                told = cut.done() and not sending.done() and not leaving.done()
                for task in (leaving, sending):
                    task.cancel()
                await asyncio.wait({sending, leaving})
            if told:
                for name, data in _told(cut.result()):
                    await send({"type": "http.response.body", "body": _frame(name, data), "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        if not sending.cancelled():
            with suppress(OSError):  # the connection broke while being written to
                sending.result()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        making = asyncio.create_task(self._make())
        making.add_done_callback(lambda _: self._laid_out.set())
        try:
            while True:
                frames = await self._next()
                over = making.done()
                failed = over and making.exception() is not None
                await send({"type": "http.response.body", "body": frames, "more_body": failed or not over})
                if over:
                    return making.result()
        finally:
            making.cancel()
            await asyncio.wait({making})

    async def _make(self) -> None:
        self._begun = True
        async with aclosing(self._events) as events:
            async for name, data in events:
                self._frames.append(_frame(name, data))
                self._laid_out.set()

    async def _next(self) -> bytes:
        """What was laid out since the last time, as one: an answer that is known whole is one write, not one for each event."""
        try:
            async with asyncio.timeout(KEEP_ALIVE.total_seconds()):
                await self._laid_out.wait()
        except TimeoutError:
            return b": still here\n\n"
        self._laid_out.clear()
        frames = b"".join(self._frames)
        self._frames.clear()
        return frames


def _told(why: Cut) -> tuple[Event, ...]:
    detail, remedy = _TOLD[why]
    return (
        ("error", {"title": "The answer is incomplete", "detail": detail, "remedy": remedy}),
        ("done", {"kind": "incomplete", "provider": None, "conversation_id": None}),
    )


def _frame(name: str, data: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


async def left(receive: Receive) -> None:
    """Returns when the client has left. Only after the whole body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass
