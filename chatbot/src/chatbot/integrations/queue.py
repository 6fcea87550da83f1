"""The queue, BullMQ on Redis, and the canary that shows whether its worker works.

BullMQ's types are partly unknown to the type checker: here is where they end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import bullmq
from redis.asyncio import Redis

NAME = "chatbot"
CANARY = "canary"
_DONE = "chatbot:canary:done"

# redis-py's own limit of 5 s is shorter than BullMQ's blocking wait: with it the worker falls silent without an error.
_NO_LIMIT: dict[str, Any] = {"socket_timeout": None}


def connect(url: str) -> Redis:
    """A client for short questions: bounded in connections and in time."""
    options: dict[str, Any] = {"max_connections": 16, "socket_timeout": 2.0, "socket_connect_timeout": 2.0}
    return cast(Any, Redis).from_url(url, decode_responses=True, **options)


def _connection(url: str) -> dict[str, Any]:
    client = cast(Any, Redis).from_url(url)
    return {**client.connection_pool.connection_kwargs, **_NO_LIMIT}


class JobQueue:
    """The server's side: adds jobs and counts them."""

    def __init__(self, url: str) -> None:
        self._queue: Any = cast(Any, bullmq.Queue)(NAME, {"connection": _connection(url)})

    async def close(self) -> None:
        await self._queue.close()

    async def add_canary(self) -> None:
        """A job that does nothing but show that it was done."""
        await self._queue.add(
            CANARY, {"added": time.time()}, {"removeOnComplete": True, "removeOnFail": True}
        )

    async def depths(self) -> dict[str, int]:
        """Jobs by state."""
        return await self._queue.getJobCounts("waiting", "active", "delayed", "failed")

    async def oldest_waiting_age(self) -> float:
        """Seconds since the oldest waiting job was added; 0 when none waits."""
        jobs = await self._queue.getJobs(["waiting"], 0, 0, True)
        return max(0.0, time.time() - jobs[0].timestamp / 1000) if jobs else 0.0


async def canary_age(redis: Redis) -> float | None:
    """Seconds since the worker last did a canary, None when it never did."""
    done = await redis.get(_DONE)
    return time.time() - float(done) if done else None


async def start_worker(url: str, redis: Redis, *, on_canary: Callable[[], None]) -> Any:
    """A BullMQ worker that is ready to run; the caller runs and closes it."""

    async def work(job: Any, _token: str) -> None:
        if job.name == CANARY:
            await redis.set(_DONE, str(time.time()))
            on_canary()

    worker = cast(Any, bullmq.Worker)(NAME, work, {"connection": _connection(url), "autorun": False})
    # Without the server's version on this connection, waits are rounded up to whole seconds.
    await worker.backend.blocking_connection.getRedisVersion()
    return worker
