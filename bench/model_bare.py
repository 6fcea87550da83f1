"""A model and an embedding service that answer at once and cost next to nothing: what is measured shares two cores with them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_VECTOR = [384**-0.5] * 384
_PIECE = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'
_DONE = b"data: [DONE]\n\n"
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_VECTORS = json.dumps({"data": [{"index": 0, "embedding": _VECTOR}]}).encode()
_EMBEDDED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_VECTORS),
    _VECTORS,
)


@dataclass(slots=True)
class Pace:
    """How the model streams: so many tokens, so many seconds apart."""

    seconds: float = 0.0
    tokens: int = 3


class _Connection(asyncio.Protocol):
    """Requests one after the other; the next comes when the last was answered."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast("asyncio.Transport", transport).write

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, found, body = self._held.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or length is None or len(body) < int(length[1]):
            return
        self._held = b""
        if b"/embeddings" in head.partition(b"\r\n")[0]:
            self._write(_EMBEDDED)
            return
        self._write(_STREAM)
        self._go_on(self._pace.tokens)

    def _go_on(self, left: int) -> None:
        """Token by token, until there are none left."""
        while left:
            self._write(_chunk(_PIECE))
            left -= 1
            if self._pace.seconds:
                asyncio.get_running_loop().call_later(self._pace.seconds, self._go_on, left)
                return
        self._write(_chunk(_DONE) + _chunk(b""))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def serving(pace: Pace) -> AsyncGenerator[str]:
    """Serves both; the address that stands before their paths."""
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(pace), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
