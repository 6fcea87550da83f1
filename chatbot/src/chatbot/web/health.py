"""Health by the real path: a query, a write and read, a job done by the worker, the provider's own outcomes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError

from chatbot.core.breaker import State
from chatbot.core.health import Condition, Report, worst
from chatbot.errors import StoreUnavailable
from chatbot.integrations import queue as queues
from chatbot.web.state import Here, Web
from chatbot.web.watch import CANARY_LIMIT

router = APIRouter()

LIMIT_SECONDS = 3.0


@router.get("/livez")
async def livez() -> PlainTextResponse:
    """Depends on nothing outside: a dependency that is down must not restart the service."""
    return PlainTextResponse("ok\n")


@router.get("/metrics")
async def metrics(here: Here) -> Response:
    here.house.parts.database.count()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/health")
async def whole(here: Here) -> JSONResponse:
    """Down only where the product cannot answer; without Redis or the provider it still can."""
    names = list(_CHECKS)
    reports = dict(zip(names, await asyncio.gather(*(_timed(here, name) for name in names)), strict=True))
    condition = worst(list(reports.values()))
    if reports["database"].condition is not Condition.DOWN and condition is Condition.DOWN:
        condition = Condition.DEGRADED
    parts = {name: _body(report) for name, report in reports.items()}
    return JSONResponse({"status": condition, "parts": parts}, status_code=_status(condition))


@router.get("/api/health/{name}")
async def one(name: str, here: Here) -> JSONResponse:
    if name not in _CHECKS:
        return JSONResponse(
            {"status": "unknown", "reason": f"There are: {', '.join(_CHECKS)}."}, status_code=404
        )
    report = await _timed(here, name)
    return JSONResponse(_body(report), status_code=_status(report.condition))


def _body(report: Report) -> dict[str, object]:
    return {"status": report.condition, "reason": report.reason, "latency_ms": report.latency_ms}


def _status(condition: Condition) -> int:
    return 503 if condition is Condition.DOWN else 200


async def _timed(here: Web, name: str) -> Report:
    began = time.monotonic()
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            condition, reason = await _CHECKS[name](here)
    except TimeoutError:
        condition, reason = Condition.DOWN, f"no answer within {LIMIT_SECONDS:.0f} s"
    except (StoreUnavailable, RedisError) as error:
        condition, reason = Condition.DOWN, str(error)[:200]
    return Report(condition=condition, reason=reason, latency_ms=round((time.monotonic() - began) * 1000, 1))


async def _database(here: Web) -> tuple[Condition, str]:
    async with here.house.parts.database.transaction() as conn:
        await conn.execute("SELECT name FROM feature_flags LIMIT 1")
    return Condition.OK, ""


async def _redis(here: Web) -> tuple[Condition, str]:
    word = str(time.time())
    await here.house.redis.set("chatbot:health", word, ex=60)
    if await here.house.redis.get("chatbot:health") is None:
        return Condition.DOWN, "what was written could not be read"
    return Condition.OK, ""


async def _groq(here: Web) -> tuple[Condition, str]:
    models = here.house.parts.models
    if not models:
        return here.watch.provider.condition, here.watch.provider.reason
    first = models[0]
    fallback = len(models) > 1
    breaker = here.house.parts.breakers[first.name]
    if breaker.state is not State.CLOSED or here.watch.provider.condition is Condition.DOWN:
        reason = here.watch.provider.reason or f"its breaker is {breaker.state}"
        words = f"{reason}; {'the fallback answers' if fallback else 'the passages answer'}"
        return (Condition.DEGRADED if fallback else Condition.DOWN), words
    return Condition.OK, ""


async def _queue(here: Web) -> tuple[Condition, str]:
    age = await queues.canary_age(here.house.redis)
    if age is not None and age <= CANARY_LIMIT:
        return Condition.OK, ""
    if here.watch.age < CANARY_LIMIT:
        return Condition.DEGRADED, "just started: no job was done yet"
    return (
        Condition.DOWN,
        f"the worker's last job was done {f'{age:.0f} s ago' if age is not None else 'never'}",
    )


_CHECKS: dict[str, Callable[[Web], Awaitable[tuple[Condition, str]]]] = {
    "database": _database,
    "redis": _redis,
    "groq": _groq,
    "queue": _queue,
}
