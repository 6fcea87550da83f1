"""The house that the stories are told in. The cast: Alice primary, Bob secondary, Carol engineering lead, Dan security."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from aiohttp import web
from aiosmtpd.smtp import SMTP

from responder.bootstrap import outside
from responder.config import Settings, load_settings
from responder.core.incident import IncidentId
from responder.integrations.links import Purpose, Signer
from responder.stages.ports import Outside
from responder.store import timeline
from responder.web.app import create_app
from responder.worker import Worker

ROOT = Path(__file__).parents[2]
START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
ALERTMANAGER_TOKEN = "alertmanager-token-for-tests"
SECRET = "a-secret-key-for-tests-of-32-characters"
HOOK_KEY = "a-key-that-signs-events-in-tests-1"
NEXT_HOOK_KEY = "a-key-that-signs-events-in-tests-2"
ADMIN_TOKEN = "admin-token-canary-4711"


class MovedClock:
    """Time stands still until it is moved."""

    def __init__(self) -> None:
        self._now = START

    def now(self) -> datetime:
        return self._now

    def move(self, by: timedelta) -> None:
        self._now += by

    def set(self, now: datetime) -> None:
        self._now = now


@dataclass
class World:
    """What is outside: a Prometheus, a chatbot, people's webhooks and mailboxes. Everything is told what to answer."""

    samples: dict[str, list[tuple[dict[str, str], float]]] = field(default_factory=dict)
    health: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=lambda: {"rerank": True})
    webhook_status: int = 200
    pages: list[dict[str, Any]] = field(default_factory=list)
    page_headers: list[Mapping[str, str]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    mail_reply: str = "250 OK"
    changes: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    # Blocked addresses, and what was asked about them: method, path as it came over the wire, body.
    blocks: dict[str, Any] = field(default_factory=dict)
    asked_of_blocks: list[tuple[str, str, str]] = field(default_factory=list)
    change_status: int = 200
    queries: list[str] = field(default_factory=list)
    query_status: int = 200
    ignore_changes: bool = False
    prometheus_since: datetime = START - timedelta(days=1)
    hold: asyncio.Event | None = None
    hold_page: asyncio.Event | None = None
    page_tries: int = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/v1/query", self._query)
        app.router.add_get("/api/v1/status/runtimeinfo", self._runtime)
        app.router.add_get("/api/health/{part}", self._health)
        app.router.add_route("*", "/api/admin/flags/{name}", self._flag)
        app.router.add_route("*", "/api/admin/blocks{ip:.*}", self._block)
        app.router.add_post("/hooks/{person}", self._page)
        return app

    async def _query(self, request: web.Request) -> web.Response:
        query = (await request.post())["query"]
        self.queries.append(str(query))
        if self.hold:
            await self.hold.wait()
        if self.query_status != 200:
            return web.json_response({"status": "error", "error": "down"}, status=self.query_status)
        found = next((rows for part, rows in self.samples.items() if part in str(query)), [])
        result = [{"metric": labels, "value": [0, str(value)]} for labels, value in found]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async def _runtime(self, _: web.Request) -> web.Response:
        if self.query_status != 200:
            return web.json_response({"status": "error"}, status=self.query_status)
        data = {"startTime": self.prometheus_since.isoformat()}
        return web.json_response({"status": "success", "data": data})

    async def _health(self, request: web.Request) -> web.Response:
        if self.hold:
            await self.hold.wait()
        status, body = self.health.get(request.match_info["part"], (200, {"status": "ok", "latency_ms": 1}))
        return web.json_response(body, status=status)

    async def _flag(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if request.headers.get("Authorization") != f"Bearer {ADMIN_TOKEN}":
            return web.json_response(
                {"detail": f"wrong token {request.headers.get('Authorization')}"}, status=401
            )
        if request.method == "PUT":
            body = await request.json()
            self.changes.append((name, dict(request.headers), body))
            if self.change_status == 200 and not self.ignore_changes:
                self.flags[name] = body["enabled"]
            return web.json_response({"name": name, **body, "token": ADMIN_TOKEN}, status=self.change_status)
        return web.json_response({"name": name, "enabled": self.flags[name]})

    async def _block(self, request: web.Request) -> web.Response:
        raw = await request.text()
        self.asked_of_blocks.append((request.method, request.rel_url.raw_path, raw))
        ip = request.match_info["ip"].removeprefix("/")
        if request.method == "POST":
            body = json.loads(raw)
            ip = body["ip"]
            self.blocks[ip] = body
        elif request.method == "DELETE":
            self.blocks.pop(ip, None)
        return web.json_response({"network": ip, "blocked": ip in self.blocks})

    async def _page(self, request: web.Request) -> web.Response:
        self.page_tries += 1
        if self.hold_page:
            await self.hold_page.wait()
        if self.webhook_status == 200:
            self.pages.append(await request.json())
            self.page_headers.append(dict(request.headers))
        return web.Response(status=self.webhook_status)

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.mail_reply.startswith("250"):
            self.mails.append(envelope.content.decode())
        return self.mail_reply


class House:
    """Everything running. `work()` does all that is due; `fast_forward()` moves the clock and works."""

    def __init__(
        self,
        database_url: str,
        folder: Path,
        target_url: str = "",
        *,
        hook_keys: str = f"{HOOK_KEY},{NEXT_HOOK_KEY}",
        runbook: Path = ROOT / "runbooks" / "bitb-chatbot.md",
        bindings: str = "",
    ) -> None:
        self.bindings = bindings
        self.runbook = runbook
        self.hook_keys = hook_keys
        self.database_url = database_url
        self.target_url = target_url
        self.folder = folder
        self.clock = MovedClock()
        self.world = World()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> House:
        self.world_url = await self._serve_world()
        smtp_port = await self._serve_mail()
        self.error_log = self.folder / "error.log"
        self.error_log.write_text("")
        self.url = f"http://127.0.0.1:{self.free_port()}"
        self.environ = self._environment(smtp_port)
        self.settings: Settings = load_settings(self.environ)
        self.outside: Outside = await self._stack.enter_async_context(
            outside(self.settings, self.clock, connections=8, application="test worker")
        )
        self.worker = Worker(self.outside)
        await self._serve_responder()
        self.session = await self._stack.enter_async_context(aiohttp.ClientSession())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _serve_world(self) -> str:
        runner = web.AppRunner(self.world.app(), shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _serve_mail(self) -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self.world, loop=loop), "127.0.0.1", 0)
        self._stack.callback(server.close)
        return server.sockets[0].getsockname()[1]

    def _environment(self, smtp_port: int) -> dict[str, str]:
        policies = self.folder / "policies"
        policies.mkdir()
        for file in (ROOT / "policies").glob("*.toml"):
            text = file.read_text()
            text = re.sub(r"http://127\.0\.0\.1:88(01|12)", self.world_url, text)
            text = text.replace('file = "/var/log/bitb-chatbot/error.log"', f'file = "{self.error_log}"')
            (policies / file.name).write_text(text + self.bindings if file.name == "bindings.toml" else text)
        return {
            "RESPONDER_DATABASE_URL": self.database_url,
            "RESPONDER_SECRET_KEY": SECRET,
            "RESPONDER_ALERTMANAGER_TOKEN": ALERTMANAGER_TOKEN,
            "RESPONDER_HOOK_KEYS": self.hook_keys,
            "RESPONDER_RUNBOOKS": str(self.runbook),
            "RESPONDER_POLICIES": str(policies),
            "PROMETHEUS_URL": self.world_url,
            "RESPONDER_TARGET_READ_URL": self.target_url,
            "RESPONDER_TARGET_WRITE_URL": self.target_url,
            "RESPONDER_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
            "RESPONDER_MAIL_FROM": "responder@example.com",
            "RESPONDER_PUBLIC_URL": self.url,
            "RESPONDER_STATUS_DIR": str(self.folder / "status"),
            "RESPONDER_POSTMORTEM_DIR": str(self.folder / "postmortems"),
            "CHATBOT_ADMIN_TOKEN": ADMIN_TOKEN,
        }

    async def _serve_responder(self) -> None:
        app = create_app(self.settings, self.clock)
        port = int(self.url.rpartition(":")[2])
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())

        async def stop() -> None:
            server.should_exit = True
            await serving

        self._stack.push_async_callback(stop)
        while not server.started:
            await asyncio.sleep(0.01)

    @staticmethod
    def free_port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    # What happens

    async def work(self) -> None:
        """Does everything that is due now."""
        async with asyncio.timeout(30):
            await self.worker.settle()

    @asynccontextmanager
    async def worker_running(self) -> AsyncGenerator[None]:
        """The worker's own loop, as it runs in its process."""
        running = asyncio.create_task(Worker(self.outside).run())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def until(self, true: Callable[[], bool]) -> None:
        """Waits for something that another task or process does."""
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0.02)

    async def fast_forward(self, **by: float) -> None:
        self.clock.move(timedelta(**by))
        await self.work()

    async def fire(self, name: str = "HighErrorRate", **labels: str) -> aiohttp.ClientResponse:
        return await self.deliver([self.alert(name, "firing", **labels)])

    async def quiet(self, name: str = "HighErrorRate", **labels: str) -> aiohttp.ClientResponse:
        return await self.deliver([self.alert(name, "resolved", **labels)])

    def alert(self, name: str, status: str, *, starts_at: datetime = START, **labels: str) -> dict[str, Any]:
        all_labels = {
            "alertname": name,
            "service": "bitb-chatbot",
            "severity": "P0",
            "kind": "symptom",
            **labels,
        }
        return {
            "status": status,
            "labels": all_labels,
            "annotations": {
                "summary": "93% of requests fail",
                "runbook_url": "https://wiki.bitb.ai/runbooks/bitb-chatbot.md"
                + ("#high-error-rate" if name == "HighErrorRate" else ""),
            },
            "startsAt": starts_at.isoformat(),
            "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else self.clock.now().isoformat(),
            "generatorURL": "http://prometheus.example/graph",
            "fingerprint": f"{hash(tuple(sorted(all_labels.items()))) & 0xFFFFFFFFFFFFFFFF:016x}",
        }

    async def deliver(self, alerts: list[dict[str, Any]], **changes: Any) -> aiohttp.ClientResponse:
        body = {
            "version": "4",
            "groupKey": "{}",
            "status": "firing",
            "receiver": "responder",
            "alerts": alerts,
            **changes,
        }
        return await self.post("/api/alerts", json.dumps(body).encode())

    async def post(self, path: str, body: bytes, token: str = ALERTMANAGER_TOKEN) -> aiohttp.ClientResponse:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with self.session.post(self.url + path, data=io.BytesIO(body), headers=headers) as response:
            await response.read()
            return response

    async def as_person(self, name: str, method: str, path: str, **body: Any) -> tuple[int, Any]:
        """A call of the API by a person; gives the status and the JSON."""
        signer = Signer(SECRET, self.clock)
        token = signer.sign(Purpose.SIGN_IN, person=name, lasts=timedelta(minutes=5))
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.request(
            method, self.url + path, headers=headers, json=body or None
        ) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def press(self, ack_url: str) -> aiohttp.ClientResponse:
        """Presses the button behind a page's link."""
        path = ack_url.removeprefix(self.settings.public_url)
        async with self.session.post(self.url + path, headers={"Accept": "application/json"}) as response:
            await response.read()
            return response

    # What is seen

    async def incident(self, name: str = "INC-1") -> dict[str, Any]:
        status, body = await self.as_person("dan", "GET", f"/api/incidents/{name}")
        assert status == 200, body
        return body

    async def kinds(self, incident: int = 1) -> list[str]:
        async with self.outside.database.transaction() as conn:
            return [str(entry.kind) for entry in await timeline.entries(conn, IncidentId(incident))]

    async def told(self, incident: int = 1) -> list[str]:
        async with self.outside.database.transaction() as conn:
            return [entry.text for entry in await timeline.entries(conn, IncidentId(incident))]
