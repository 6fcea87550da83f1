"""Answers through the real server on one core: what it adds to a model that answers at once, and what the cache serves.

Beside it in the same run, on the same core: FastAPI that streams three lines, a relay that only passes the model's stream
on, and the floor: the relay with the chatbot's ways to the databases (`answers_bare`).
The model and the embeddings are servers that answer at once, in this process on the other core, together with the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.model_bare import Pace, serving
from bench.statistics_of import milliseconds
from bench.webhook import _port
from chatbot.store.migrate import migrate
from drills.postgres import Cluster
from drills.valkey import Valkey

ALONE = 150
CACHED_SECONDS = 4.0
# Those who are answered at the same moment share the ways to the databases.
CLIENTS = (32, 128)
STREAMS = 64
RUNNING_SECONDS = 8.0
TOKENS = 20
WARM = 10
# Counted as always, never reached.
LIMIT = "1000000/second"
ADMIN = "x" * 24


async def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bitb-bench-") as name:
        folder = Path(name)
        await asyncio.to_thread(folder.chmod, 0o711)
        cluster = Cluster(directory=folder / "pg", port=_port(), password=secrets.token_urlsafe(12))
        valkey = Valkey(directory=folder / "valkey", port=_port(), password=secrets.token_urlsafe(12))
        with cluster.running():
            app_url = f"postgresql://bench:bench@127.0.0.1:{cluster.port}/{cluster.url().rpartition('/')[2]}"
            await asyncio.to_thread(migrate, migration_url=cluster.url(), app_url=app_url)
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(_process(*valkey.command()))
                pace = Pace()
                model = await stack.enter_async_context(serving(pace))
                environ = _environ(app_url, valkey.url, model)
                chatbot_url = f"http://127.0.0.1:{environ['CHATBOT_PORT']}"
                bare_port = _port()
                run = "import sys; from chatbot.cli import main; sys.exit(main(sys.argv[1:]))"
                key = await _tenant(run, environ, folder)
                on_one = ("taskset", "-c", "0", sys.executable)
                served = await stack.enter_async_context(
                    _process(*on_one, "-c", run, "serve", environ=environ)
                )
                beside = await stack.enter_async_context(
                    _process(*on_one, "-m", "bench.answers_bare", str(bare_port), model, app_url, valkey.url)
                )
                http = await stack.enter_async_context(
                    aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers={"X-Api-Key": key})
                )
                stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
                os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
                await _ready(http, chatbot_url, f"http://127.0.0.1:{bare_port}")
                async with _process(sys.executable, "-c", run, "work", environ=environ):
                    await _document_ready(http, chatbot_url)
                return await _measured(
                    pace,
                    _Asked(http, f"{chatbot_url}/api/chat", served),
                    relay=_Asked(http, f"http://127.0.0.1:{bare_port}/relay", beside),
                    floor=_Asked(http, f"http://127.0.0.1:{bare_port}/floor", beside),
                    nothing=_Asked(http, f"http://127.0.0.1:{bare_port}/bare", beside),
                    admin=f"{chatbot_url}/api/admin",
                )


async def _measured(
    pace: Pace, ask: _Asked, *, relay: _Asked, floor: _Asked, nothing: _Asked, admin: str
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "targets": {
            "uncached overhead": "p50 <= 5 ms, p95 <= 15 ms",
            "cached": "p95 <= 5 ms, >= 1500/s on one core",
            "first token added": "<= 3 ms alone, <= 60 ms p95 at 64 streams on one core",
            "breaker open, fallback": "<= 50 ms",
        },
        "load_average_at_start": round(os.getloadavg()[0], 1),
    }
    pace.seconds, pace.tokens = 0.0, 3
    for name, one in (
        ("bare_fastapi", nothing),
        ("relay_alone", relay),
        ("floor_alone", floor),
        ("uncached_alone", ask),
    ):
        before = one.cpu_seconds()
        firsts, wholes = await _alone(one, name)
        found[name] = {
            "first_token": milliseconds(firsts),
            "whole": milliseconds(wholes),
            "cpu_ms_each": round((one.cpu_seconds() - before) / (len(wholes) + WARM) * 1000, 2),
        }
    found["first_token_added_alone_p50_ms"] = _added(found, "first_token", "p50_ms")
    found["uncached_overhead_beyond_relay_p50_ms"] = _added(found, "whole", "p50_ms")
    await ask("When is a refund possible?")
    before = ask.cpu_seconds()
    wholes = [(await ask("When is a refund possible?"))[1] for _ in range(ALONE)]
    found["cached_alone"] = {
        **milliseconds(wholes),
        "cpu_ms_each": round((ask.cpu_seconds() - before) / ALONE * 1000, 2),
    }
    for clients in CLIENTS:
        found[f"cached_at_{clients}"] = await _rate(ask, clients)
        found[f"bare_fastapi_at_{clients}"] = await _rate(nothing, clients)
    await _at_64(pace, ask, relay, found)
    pace.seconds, pace.tokens = 0.0, 3
    operator = {"Authorization": f"Bearer {ADMIN}"}
    async with ask.http.post(f"{admin}/breakers/groq/force-open", headers=operator) as answer:
        answer.raise_for_status()
    firsts, _ = await _alone(ask, "fallback")
    found["fallback_while_open_first_token"] = milliseconds(firsts)
    return found


async def _at_64(pace: Pace, ask: _Asked, relay: _Asked, found: dict[str, Any]) -> None:
    """First tokens while 64 streams run, of which one ends and another begins all the time; and when 64 begin at once."""
    for how, seconds, measured in (("running", 0.05, _running), ("begun_at_once", 0.01, _begun_at_once)):
        pace.seconds, pace.tokens = seconds, TOKENS
        both: list[dict[str, float]] = []
        for name, one in (("relay", relay), ("chatbot", ask)):
            both.append(milliseconds(await measured(one, name)))
            found[f"{name}_64_{how}_first_token"] = both[-1]
        found[f"first_token_added_64_{how}_p95_ms"] = round(both[1]["p95_ms"] - both[0]["p95_ms"], 2)


async def _running(one: _Asked, name: str) -> list[float]:
    end = time.perf_counter() + RUNNING_SECONDS
    firsts: list[float] = []

    async def reader(number: int) -> None:
        await asyncio.sleep(number / STREAMS)
        while time.perf_counter() < end:
            first, _ = await one(f"{name} refund {secrets.token_hex(4)}")
            firsts.append(first)

    await asyncio.gather(*(reader(number) for number in range(STREAMS)))
    return firsts[STREAMS:]


async def _begun_at_once(one: _Asked, name: str) -> list[float]:
    return [
        first
        for _ in range(3)
        for first, _ in await asyncio.gather(
            *(one(f"{name} refund {secrets.token_hex(4)}") for _ in range(STREAMS))
        )
    ]


def _added(found: dict[str, Any], what: str, at: str) -> float:
    return round(found["uncached_alone"][what][at] - found["relay_alone"][what][at], 2)


async def _alone(ask: _Asked, name: str) -> tuple[list[float], list[float]]:
    """One after the other, each another question, so that nothing comes from the cache."""
    for _ in range(WARM):
        await ask(f"{name} warm refund {secrets.token_hex(4)}")
    times = [await ask(f"{name} refund {secrets.token_hex(4)}") for _ in range(ALONE)]
    return [first for first, _ in times], [whole for _, whole in times]


async def _rate(ask: _Asked, clients: int) -> dict[str, float]:
    """Answers in a second, and in a second of the server's own time on a core: the load of others is not in it."""
    end = time.perf_counter() + CACHED_SECONDS
    answered = 0

    async def client() -> None:
        nonlocal answered
        while time.perf_counter() < end:
            await ask("When is a refund possible?")
            answered += 1

    began, before = time.perf_counter(), ask.cpu_seconds()
    await asyncio.gather(*(client() for _ in range(clients)))
    return {
        "per_second": round(answered / (time.perf_counter() - began)),
        "per_cpu_second": round(answered / (ask.cpu_seconds() - before)),
    }


@dataclass(frozen=True, slots=True)
class _Asked:
    """A server that is asked, and its process."""

    http: aiohttp.ClientSession
    url: str
    pid: int

    async def __call__(self, text: str) -> tuple[float, float]:
        """Seconds to the first token, and to the end."""
        began = time.perf_counter()
        first = 0.0
        async with self.http.post(self.url, json={"message": text}) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{self.url} answered {answer.status}: {await answer.text()}")
            async for chunk in answer.content.iter_any():
                if not first and b"event: token" in chunk:
                    first = time.perf_counter() - began
        return first, time.perf_counter() - began

    def cpu_seconds(self) -> float:
        """What all its threads have used so far."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _environ(app_url: str, redis_url: str, model: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "CHATBOT_DATABASE_URL": app_url,
        "CHATBOT_REDIS_URL": redis_url,
        "CHATBOT_ADMIN_TOKEN": ADMIN,
        "CHATBOT_SIGNING_KEYS": secrets.token_urlsafe(32),
        "CHATBOT_PORT": str(_port()),
        "CHATBOT_WORKER_METRICS_PORT": str(_port()),
        "CHATBOT_LOG_LEVEL": "ERROR",
        "CHATBOT_LIMITS": f"chat.ip={LIMIT} chat.key={LIMIT} chat.tenant={LIMIT} chat.session={LIMIT}",
        "CHATBOT_EMBEDDINGS_URL": model,
        "CHATBOT_EMBEDDINGS_MODEL": "m",
        "CHATBOT_EMBEDDINGS_KEY": "k",
        "GROQ_BASE_URL": model,
        "GROQ_API_KEY": "k",
        "OPENAI_BASE_URL": model,
        "OPENAI_API_KEY": "k",
    }


async def _tenant(run: str, environ: dict[str, str], folder: Path) -> str:
    """Makes a tenant with a document; its key."""
    document = folder / "policy.md"
    document.write_text("# Refunds\n\nA refund is possible within 30 days.\n", encoding="utf-8")
    made = await _command(run, environ, "tenant", "create", "acme", "--format", "json")
    key: str = json.loads(made)["api_key"]
    await _command(run, environ, "document", "add", "--tenant", "acme", str(document))
    return key


async def _command(run: str, environ: dict[str, str], *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", run, *arguments, env=environ, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"chatbot {' '.join(arguments)} ended with {process.returncode}")
    return out.decode()


@asynccontextmanager
async def _process(*command: str, environ: dict[str, str] | None = None) -> AsyncGenerator[int]:
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=asyncio.subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def _ready(http: aiohttp.ClientSession, chatbot: str, bare: str) -> None:
    async with asyncio.timeout(40):
        for url in (f"{chatbot}/readyz", f"{bare}/docs"):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(url) as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.1)


async def _document_ready(http: aiohttp.ClientSession, chatbot: str) -> None:
    """Until a question is answered by the model: the document is there."""
    async with asyncio.timeout(40):
        while True:
            body = {"message": f"When is a refund possible {secrets.token_hex(3)}?"}
            async with http.post(f"{chatbot}/api/chat", json=body) as answer:
                if '"kind":"generated"' in await answer.text():
                    return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=2))
