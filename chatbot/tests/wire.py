"""What the stories of outages are played on: a responder that checks signatures, and a wire to PostgreSQL that can be cut."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from chatbot_house import free_port

KEY = "the-key-of-the-security-hook-of-the-tests"


@dataclass
class Responder:
    """Takes security events as the responder's reference says; `status` is what it answers to genuine ones."""

    url: str = ""
    status: int = 200
    taken: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    forged: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        header = request.headers.get("X-Bitb-Signature", "")
        timestamp, _, given = header.removeprefix("t=").partition(",v1=")
        wanted = hmac.new(KEY.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, given):
            self.forged += 1
            return web.json_response({}, status=401)
        self.bodies.append(body)
        self.signatures.append(header)
        self.taken.append(json.loads(body))
        self.came.set()
        return web.json_response({"accepted": True, "new": True}, status=self.status)

    async def told(self, seconds: float = 10) -> dict[str, Any]:
        """The next event that comes."""
        async with asyncio.timeout(seconds):
            await self.came.wait()
        self.came.clear()
        return self.taken[-1]


@asynccontextmanager
async def running_responder() -> AsyncIterator[Responder]:
    responder = Responder()
    app = web.Application()
    app.router.add_post("/hooks/security", responder.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    responder.url = f"http://127.0.0.1:{port}/hooks/security"
    try:
        yield responder
    finally:
        await runner.cleanup()


class Wire:
    """Carries bytes to a port until it is cut; then it refuses, until it is mended."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        self._cut = True
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    def mend(self) -> None:
        self._cut = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, there_writer}
        with suppress(OSError):
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        self._open -= {writer, there_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def running_wire(port: int) -> AsyncIterator[tuple[Wire, int]]:
    """A wire to the port, and the port at its other end."""
    wire = Wire(port)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    try:
        yield wire, server.sockets[0].getsockname()[1]
    finally:
        wire.cut()
        server.close()
        await server.wait_closed()
