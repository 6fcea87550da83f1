"""The chatbot's house: real PostgreSQL and Valkey, the real server, a model and a reranker faked at the wire."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from aiohttp import web

from chatbot.config import load_settings
from chatbot.core.passage import split
from chatbot.store import documents, tenants
from chatbot.store.db import Database
from chatbot.telemetry import configure_logging
from chatbot.web.app import create_app

ADMIN_TOKEN = "an-operators-token-for-tests"
ACME = (
    "# Returns\n\nAcme takes goods back within 30 days. The refund goes to the card that paid.\n\n"
    "# Shipping\n\nParcels leave on Tuesdays."
)
GLOBEX = "# Returns\n\nGlobex takes goods back within 7 days.\n\n# Secret\n\nThe vault code is 4711."


@dataclass
class Upstream:
    """A model and a reranker. Each name says how it behaves: ok, fail, break."""

    chat: str = "ok"
    rerank: str = "ok"
    asked: list[dict[str, Any]] = field(default_factory=list)
    streaming: int = 0
    hold: asyncio.Event | None = None

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{who}/chat/completions", self._chat)
        app.router.add_get("/{who}/models", self._models)
        app.router.add_post("/rerank", self._rerank)
        return app

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": []})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        who = request.match_info["who"]
        self.asked.append({"who": who, **await request.json()})
        if self.chat == "fail" and who == "groq":
            return web.json_response({"error": "down"}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.streaming += 1
        try:
            for n, token in enumerate(["Within ", "30 days ", "[1][9]"]):
                if self.chat == "break" and who == "groq" and n == 1:
                    return response
                if self.hold:
                    await self.hold.wait()
                data = json.dumps({"choices": [{"delta": {"content": token}}]})
                await response.write(f"data: {data}\n\n".encode())
            await response.write(b"data: [DONE]\n\n")
        finally:
            self.streaming -= 1
        return response

    async def _rerank(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.rerank == "fail":
            return web.json_response({}, status=500)
        scores = [{"index": n, "relevance_score": n} for n in range(len(body["documents"]))]
        return web.json_response({"results": scores})


class ChatbotHouse:
    """Everything running; `ask` is a reader of a tenant's site, `admin` an operator."""

    def __init__(self, urls: dict[str, str], folder: Path, *, pool_size: int = 4, keys: bool = True) -> None:
        self.urls = urls
        self.folder = folder
        self.upstream = Upstream()
        self.tenant_keys: dict[str, str] = {}
        self._pool_size = pool_size
        self._keys = keys
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> ChatbotHouse:
        upstream = await self._serve_upstream()
        environ = {
            "CHATBOT_DATABASE_URL": self.urls["app"],
            "CHATBOT_REDIS_URL": self.urls["redis"],
            "CHATBOT_ADMIN_TOKEN": ADMIN_TOKEN,
            "CHATBOT_LOG_DIR": str(self.folder / "logs"),
            "CHATBOT_RERANK_URL": f"{upstream}/rerank",
            "GROQ_BASE_URL": f"{upstream}/groq",
            "OPENAI_BASE_URL": f"{upstream}/openai",
        }
        if self._keys:
            environ |= {"GROQ_API_KEY": "groq-key", "OPENAI_API_KEY": "openai-key"}
        self.settings = load_settings(environ)
        self._stack.callback(configure_logging(self.settings.log_dir).close)
        database = Database(self.urls["app"], size=2, application="test")
        self.database = await self._stack.enter_async_context(database)
        for name, text in (("acme", ACME), ("globex", GLOBEX)):
            await self._tenant(name, text)
        self.url = await self._serve()
        connector = aiohttp.TCPConnector(limit=0)
        self.session = await self._stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _tenant(self, name: str, text: str) -> None:
        tenant, key = await tenants.create(self.database, name)
        self.tenant_keys[name] = key
        async with self.database.as_tenant(tenant.id) as conn:
            await documents.replace(conn, tenant.id, title="handbook.md", passages=split(text))

    async def _serve_upstream(self) -> str:
        runner = web.AppRunner(self.upstream.app(), shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _serve(self) -> str:
        app = create_app(self.settings, pool_size=self._pool_size)
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())

        async def stop() -> None:
            server.should_exit = True
            await serving

        self._stack.push_async_callback(stop)
        while not server.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    async def ask(self, tenant: str, question: str) -> tuple[int, list[tuple[str, Any]]]:
        """The status, and the events of the answer (or the problem, as one)."""
        headers = {"X-Api-Key": self.tenant_keys.get(tenant, tenant)}
        url = f"{self.url}/api/chat"
        async with self.session.post(url, json={"message": question}, headers=headers) as response:
            text = await response.text()
            if response.content_type != "text/event-stream":
                return response.status, [("problem", json.loads(text))]
        events: list[tuple[str, Any]] = []
        for block in text.strip().split("\n\n"):
            name, data = block.split("\n", 1)
            events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
        return response.status, events

    async def admin(self, method: str, path: str, token: str = ADMIN_TOKEN, **body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.request(
            method, self.url + path, headers=headers, json=body or None
        ) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as response:
            return response.status, await response.text()


def answer_text(events: list[tuple[str, Any]]) -> str:
    """What a reader has at the end."""
    text = ""
    for name, data in events:
        if name == "token":
            text = data["text"] if data["restart"] else text + data["text"]
    return text
