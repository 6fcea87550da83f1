"""What the chatbot's stories are played on: a served chatbot, providers faked at the wire, a clock to move."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import uvicorn
from aiohttp import web
from opentelemetry.trace import Tracer
from psycopg.conninfo import conninfo_to_dict

from chatbot.bootstrap import outside
from chatbot.config import Settings
from chatbot.core.documents import RevisionRef
from chatbot.core.tenancy import PREFIX_BYTES, SECRET_BYTES, Tenant, api_key
from chatbot.stages.ingest import ingest
from chatbot.stages.ports import Clocks, Outside
from chatbot.stages.upload import upload
from chatbot.store.tenants import create_tenant
from chatbot.web.app import create_app
from chatbot.web.drain import Drain

ADMIN_TOKEN = "the-admin-token-of-the-tests"
SIGNING_KEYS = ("a-signing-key-of-the-tests-that-is-new", "a-signing-key-of-the-tests-that-is-old")
APP_ROLE, APP_PASSWORD = "chatbot_of_tests", "a-password-of-tests"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def app_url_of(superuser_url: str) -> str:
    at = conninfo_to_dict(superuser_url)
    return f"postgresql://{APP_ROLE}:{APP_PASSWORD}@{at['host']}:{at['port']}/{at['dbname']}"


@dataclass
class Upstream:
    """A provider and a reranker. What it does next is set by its fields; what it was asked is kept."""

    mode: str = "ok"
    rerank: str = "ok"
    tokens: list[str] = field(default_factory=lambda: ["Within ", "30 days ", "[1]."])
    asked: list[dict[str, Any]] = field(default_factory=list)
    fails: int = 0  # so many more calls fail before `mode` holds
    retry_after: str | None = None
    usage: dict[str, int] | None = None
    generated: int = 0  # tokens that it made, whoever may have read them
    probes: int = 0
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    last_byte_after: float = 0.0  # seconds from the end of the text to the end of the answer
    connections: set[object] = field(default_factory=set)  # that questions came through
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.connections.add(request.transport)
        if self.mode.isdecimal() or self.fails:
            self.fails = max(0, self.fails - 1)
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.Response(
                status=int(self.mode) if self.mode.isdecimal() else 503, text="no", headers=headers
            )
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            if self.mode == "deaf":
                await self.release.wait()
            await answer.prepare(request)
            self.accepted.set()
            if self.mode == "think":
                await self.release.wait()
            for position, token in enumerate(self.tokens):
                if position == 1 and self.mode == "hold":
                    await self.release.wait()
                if position == 1 and self.mode == "break":
                    request.transport.close()
                    return answer
                if position == 1 and self.mode == "error":
                    await answer.write(b'data: {"error":{"message":"overloaded"}}\n\n')
                    return answer
                await self.say(answer, token)
            while self.mode == "endless":
                await asyncio.sleep(0.01)
                await self.say(answer, "and so on ")
        except asyncio.CancelledError:
            self.gone.set()
            raise
        if self.usage and self.asked[-1].get("stream_options") == {"include_usage": True}:
            last = {"choices": [], "usage": self.usage}
            await answer.write(b"data: " + json.dumps(last).encode() + b"\n\n")
        await answer.write(b"data: [DONE]\n\n")
        await asyncio.sleep(self.last_byte_after)
        return answer

    async def say(self, answer: web.StreamResponse, token: str) -> None:
        self.generated += 1
        piece = {"choices": [{"delta": {"content": token}}]}
        await answer.write(b"data: " + json.dumps(piece).encode() + b"\n\n")

    async def models(self, _: web.Request) -> web.Response:
        self.probes += 1
        return web.json_response({"data": []}, status=200 if self.mode == "ok" else 503)

    async def order(self, request: web.Request) -> web.Response:
        documents = (await request.json())["documents"]
        if self.rerank == "fail":
            return web.Response(status=500)
        if self.rerank == "foreign":
            return web.json_response({"results": [{"index": 99, "relevance_score": 1}]})
        results = [{"index": i, "relevance_score": i} for i in range(len(documents))]
        return web.json_response({"results": results})


@asynccontextmanager
async def running_upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.chat)
    app.router.add_get("/v1/models", upstream.models)
    app.router.add_post("/v1/rerank", upstream.order)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    upstream.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield upstream
    finally:
        upstream.release.set()
        await runner.cleanup()


@dataclass
class MovedClock:
    """A clock that a test moves: `fast_forward` adds seconds to both of its faces."""

    ahead: float = 0.0

    def clocks(self) -> Clocks:
        return Clocks(monotonic=lambda: time.monotonic() + self.ahead, wall=lambda: time.time() + self.ahead)

    def fast_forward(self, seconds: float) -> None:
        self.ahead += seconds


class Wire:
    """A wire to a server that a test cuts and mends: what lies behind it is gone meanwhile, for real."""

    def __init__(self, url: str) -> None:
        self._at = urlsplit(url)
        self.port = free_port()
        self._carrying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = urlunsplit(
            self._at._replace(netloc=self._at.netloc.replace(f":{self._at.port}", f":{self.port}"))
        )

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close at the loop's next turn
        await self._server.wait_closed()
        self._server = None

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        back: asyncio.StreamWriter | None = None
        try:
            there, back = await asyncio.open_connection(self._at.hostname, self._at.port)
            await asyncio.gather(_pour(reader, back), _pour(there, writer))
        except asyncio.CancelledError:
            pass  # cut: a server's task that ends as cancelled is reported as a fault
        finally:
            for each in (writer, back):
                if each is not None:
                    each.transport.abort()
            self._carrying.discard(task)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[Wire]:
    wire = Wire(url)
    await wire.mend()
    try:
        yield wire
    finally:
        await wire.cut()


@dataclass
class Chatbot:
    """A served chatbot with two tenants, acme and globex, and how a client talks to it."""

    url: str
    http: aiohttp.ClientSession
    parts: Outside
    clock: MovedClock
    keys: dict[str, str]
    tenants: dict[str, Tenant]

    async def ask(
        self, message: str, *, tenant: str = "acme", **body: Any
    ) -> tuple[int, list[tuple[str, Any]], Any]:
        """The status, the events of a stream, the document of a refusal."""
        headers = {"X-Api-Key": self.keys[tenant]}
        async with self.http.post(
            f"{self.url}/api/chat", json={"message": message, **body}, headers=headers
        ) as answer:
            if answer.status != 200:
                return answer.status, [], await answer.json(content_type=None)
            return 200, events_of(await answer.text()), None

    async def add_document(self, tenant: str, title: str, content: str) -> None:
        """A document, ready to answer from."""
        await add_document(self.parts, self.tenants[tenant], title, content.encode())

    async def call(
        self, method: str, path: str, *, tenant: str = "acme", key: str | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """The status and the document of any other request of a tenant's key."""
        headers = {"X-Api-Key": key or self.keys[tenant]}
        async with self.http.request(method, f"{self.url}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def admin(
        self, method: str, path: str, body: Any = None, token: str = ADMIN_TOKEN, **headers: str
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}", **headers}
        async with self.http.request(
            method, f"{self.url}/api/admin{path}", json=body, headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.http.get(f"{self.url}{path}") as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if "json" in answer.content_type else text

    async def metric(self, sample: str) -> float:
        """The value of a sample as it is written in the text format."""
        _, text = await self.get("/metrics")
        for line in text.splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no sample {sample}")


async def add_document(parts: Outside, tenant: Tenant, title: str, content: bytes) -> RevisionRef:
    """Uploads a document and does the worker's part at once."""
    ref = await upload(
        parts.database, parts.clocks, tenant, title=title, parts=[content], media_type=None, actor="test"
    )
    await ingest(parts, ref)
    return ref


def events_of(text: str) -> list[tuple[str, Any]]:
    frames = [frame for frame in text.split("\n\n") if frame.startswith("event:")]
    return [(f.split("\n")[0][7:], json.loads(f.split("\n")[1][6:])) for f in frames]


def text_of(events: list[tuple[str, Any]]) -> str:
    return "".join(data["text"] for name, data in events if name == "token")


def settings_for(app_url: str, redis_url: str, **changes: Any) -> Settings:
    settings = Settings(
        database_url=app_url, redis_url=redis_url, host="127.0.0.1", port=1, worker_metrics_port=1,
        admin_token=ADMIN_TOKEN, signing_keys=SIGNING_KEYS, log_dir=None,
        log_level="INFO", flags_file=None, pool_size=2, top_k=6,
        max_tokens=100, drain_seconds=1, cache_seconds=0, traces_url=None, rerank_url=None, security_webhook=None, providers=(),
        limits={}, answers_at_once=1000,
    )  # fmt: skip
    return replace(settings, **changes)


@asynccontextmanager
async def served(
    settings: Settings,
    *,
    tenants: Sequence[tuple[str, int]] = (("acme", 30), ("globex", 14)),
    tracer: Tracer | None = None,
) -> AsyncIterator[Chatbot]:
    """The application on a real socket, with two tenants whose documents hold a secret each."""
    clock = MovedClock()
    async with outside(settings, clocks=clock.clocks(), tracer=tracer) as parts:
        await parts.database.verify()
        keys: dict[str, str] = {}
        made: dict[str, Tenant] = {}
        for name, days in tenants:
            key = api_key(secrets.token_bytes(PREFIX_BYTES + SECRET_BYTES))
            made[name] = await create_tenant(parts.database, name, key)
            keys[name] = key.text
            content = f"# Refunds\n\nA refund at {name} is possible within {days} days.\n"
            await add_document(parts, made[name], "policy.md", content.encode())
        port = free_port()
        config = uvicorn.Config(
            create_app(parts, admin_token=settings.admin_token, drain=Drain(timedelta(seconds=settings.drain_seconds))),
            host="127.0.0.1", port=port, log_config=None,
            lifespan="off", access_log=False, timeout_graceful_shutdown=1, ws="none",
        )  # fmt: skip
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None
        task = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            yield Chatbot(f"http://127.0.0.1:{port}", http, parts, clock, keys, made)
        server.should_exit = True
        await task
