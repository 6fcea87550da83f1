"""Webhook → incident committed → all evidence committed, through the real server and worker, one alert after the other.

Commits are seen as they happen: PostgreSQL sends a notification when the transaction that wrote it commits. Beside it, in the
same run and on the same disk: one bare INSERT and its commit. The sources answer at once, as healthy ones do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
from aiohttp import web

from bench.statistics_of import milliseconds
from drills.postgres import Cluster
from responder.store.migrate import migrate

ROOT = Path(__file__).parents[1]
ROUNDS = 60
WARM = 5
TOKEN = secrets.token_urlsafe(24)


async def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bitb-bench-") as name:
        folder = Path(name)
        await asyncio.to_thread(folder.chmod, 0o711)
        cluster = Cluster(directory=folder / "pg", port=_port(), password=secrets.token_urlsafe(12))
        with cluster.running():
            migrate(cluster.url())
            bare = await _bare(cluster.url())
            async with _sources() as sources, _responder(folder, cluster.url(), sources) as (url, pids):
                incident, evidence = await _rounds(cluster.url(), url)
                memory = {name: _resident(pid) for name, pid in pids.items()}
    opened, all_in, commit = milliseconds(incident), milliseconds(evidence), milliseconds(bare)
    return {
        "targets": {"incident": "p50 <= 20 ms", "evidence": "p95 <= 1000 ms", "memory": "<= 300 MB together"},
        "webhook_to_incident_committed": opened,
        "webhook_to_all_evidence_committed": all_in,
        "bare_insert_and_commit": commit,
        "ratio_p50_incident_to_bare": round(opened["p50_ms"] / commit["p50_ms"], 1),
        "resident_mb": {**memory, "together": round(sum(memory.values()), 1)},
    }


async def _bare(url: str) -> list[float]:
    seconds: list[float] = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute("CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY, body jsonb)")
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await conn.execute("INSERT INTO bare (body) VALUES (%s)", ('{"alertname": "HighErrorRate"}',))
            seconds.append(time.perf_counter() - began)
    return seconds


async def _rounds(database: str, url: str) -> tuple[list[float], list[float]]:
    incident, evidence = list[float](), list[float]()
    async with (
        await psycopg.AsyncConnection.connect(database, autocommit=True) as conn,
        aiohttp.ClientSession() as session,
    ):
        await conn.execute("LISTEN due")
        for n in range(ROUNDS + WARM):
            began = time.perf_counter()
            posting = asyncio.create_task(_post(session, url, n))
            # The transaction that opens an incident makes its evidence due; the one that ends it makes a diagnosis due.
            opened = await _until(conn, "evidence") - began
            done = await _until(conn, "diagnoses") - began
            await posting
            await asyncio.sleep(0.1)
            async for _ in conn.notifies(timeout=0.05):
                pass
            if n >= WARM:
                incident.append(opened)
                evidence.append(done)
    return incident, evidence


async def _until(conn: psycopg.AsyncConnection[Any], table: str) -> float:
    async with asyncio.timeout(20):
        async for note in conn.notifies():
            if note.payload == table:
                return time.perf_counter()
    raise TimeoutError(table)


async def _post(session: aiohttp.ClientSession, url: str, n: int) -> None:
    labels = {"alertname": "HighErrorRate", "service": f"service-{n}", "severity": "P0"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "93% of requests fail"},
        "startsAt": datetime.now(UTC).isoformat(),
        "fingerprint": f"{n:016x}",
    }
    body = json.dumps({"version": "4", "alerts": [alert]})
    async with session.post(
        f"{url}/api/alerts", data=body, headers={"Authorization": f"Bearer {TOKEN}"}
    ) as response:
        response.raise_for_status()


@asynccontextmanager
async def _sources() -> AsyncGenerator[str]:
    async def query(_: web.Request) -> web.Response:
        sample = {"metric": {}, "value": [0, "0.5"]}
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": [sample]}})

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def page(_: web.Request) -> web.Response:
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/api/v1/query", query)
    app.router.add_get("/api/health/{part}", health)
    app.router.add_post("/hooks/{person}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _responder(folder: Path, database: str, sources: str) -> AsyncGenerator[tuple[str, dict[str, int]]]:
    (folder / "policies").mkdir()
    for file in (ROOT / "policies").glob("*.toml"):
        text = file.read_text(encoding="utf-8").replace("http://127.0.0.1:8801", sources)
        text = text.replace("http://127.0.0.1:8812", sources).replace(
            'channels = ["webhook", "email"]', 'channels = ["webhook"]'
        )
        (folder / "policies" / file.name).write_text(text, encoding="utf-8")
    port = _port()
    environ = {
        "PATH": os.environ["PATH"],
        "RESPONDER_DATABASE_URL": database,
        "RESPONDER_SECRET_KEY": secrets.token_urlsafe(32),
        "RESPONDER_ALERTMANAGER_TOKEN": TOKEN,
        "RESPONDER_RUNBOOKS": str(ROOT / "runbooks"),
        "RESPONDER_POLICIES": str(folder / "policies"),
        "RESPONDER_PORT": str(port),
        "RESPONDER_WORKER_METRICS_PORT": str(_port()),
        "RESPONDER_STATUS_DIR": str(folder / "status"),
        "RESPONDER_POSTMORTEM_DIR": str(folder / "postmortems"),
        "RESPONDER_LOG_LEVEL": "ERROR",
        "PROMETHEUS_URL": sources,
        "CHATBOT_ADMIN_TOKEN": "x" * 20,
    }
    code = "import sys; from responder.cli import main; main(sys.argv[1:])"
    running = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, verb, env=environ)
        for verb in ("serve", "work")
    ]
    url = f"http://127.0.0.1:{port}"
    try:
        await _ready(url)
        yield url, {"serve": running[0].pid, "work": running[1].pid}
    finally:
        for process in running:
            process.terminate()
            await process.wait()


async def _ready(url: str) -> None:
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        # The worker has no door of its own: it starts as fast as the server does.
                        await asyncio.sleep(1)
                        return
            await asyncio.sleep(0.05)


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
