"""The BullMQ queue. The truth of a job is never here: Redis may be lost.

Two traps of the Python package are avoided in `new_worker`; each silences a worker for ever or makes it late.
"""

# bullmq has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeArgument=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from bullmq import Job, Queue, Worker
from bullmq.backends import RedisBackend
from bullmq.redis_connection import RedisConnection
from bullmq.types import WorkerOptions
from redis.asyncio import Redis

from chatbot.core.documents import RevisionRef
from chatbot.core.tenancy import TenantId
from chatbot.integrations.redis import answering, connection_arguments

NAME = "chatbot"
CANARY = "canary"
INGEST = "ingest"
STATES = ("waiting", "active", "delayed", "failed")
# Where a job may stay for long, or for ever.
WAITING_STATES = ("waiting", "paused", "prioritized", "delayed", "failed", "completed")
# A list of all jobs of a state may be long.
_LIST_SECONDS = 10.0
_CANARY_DONE = "chatbot:canary:sent_at_of_last_done"

Process = Callable[[Job, str], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """Jobs by state; and when (seconds since the epoch) the oldest waiting job and the last finished canary were sent."""

    depth: dict[str, int]
    oldest_sent_at: float | None
    canary_sent_at: float | None


class JobQueue:
    """The sending end."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._queue = Queue(NAME, {"connection": client})

    async def send_canary(self, sent_at: float) -> None:
        """Puts a canary in unless one is there: a dead worker makes no pile of them. Raises QueueUnavailable."""
        options: dict[str, Any] = {"jobId": CANARY, "removeOnComplete": True, "removeOnFail": True}
        async with answering():
            await self._queue.add(CANARY, {"sent_at": sent_at}, options)  # pyright: ignore[reportArgumentType]

    async def forget_tenant(self, tenant_id: TenantId) -> int:
        """Takes the tenant's jobs out, those under way excepted: they find no tenant. How many. Raises QueueUnavailable."""
        removed = 0
        for state in WAITING_STATES:
            async with answering(_LIST_SECONDS):
                jobs = await self._queue.getJobs([state])
            for job in jobs:
                if job is not None and (job.data or {}).get("tenant_id") == str(tenant_id):
                    async with answering():
                        await job.remove()
                    removed += 1
        return removed

    async def send_ingest(self, ref: RevisionRef) -> None:
        """Puts the revision in unless it is there: the row is the truth, the job only its ids. Raises QueueUnavailable."""
        data = {
            "tenant_id": str(ref.tenant_id), "document_id": str(ref.document_id), "revision": ref.revision,
        }  # fmt: skip
        # Once an attempt: a job of the last one may still be about to end.
        job_id = f"{INGEST}-{ref.document_id}-{ref.revision}-{ref.attempt}"
        options: dict[str, Any] = {"jobId": job_id, "removeOnComplete": True, "removeOnFail": True}
        async with answering():
            await self._queue.add(INGEST, data, options)  # pyright: ignore[reportArgumentType]

    async def state(self) -> QueueState:
        """What is in the queue. Raises QueueUnavailable."""
        async with answering():
            counts = await self._queue.getJobCounts(*STATES)
            waiting: Any = await _answer(self._client.lindex(self._queue.toKey("wait"), -1))
            oldest = self._queue.toKey(str(waiting))
            stamp: Any = await _answer(self._client.hget(oldest, "timestamp")) if waiting else None
            done = await self._client.get(_CANARY_DONE)
        return QueueState(
            depth={state: int(counts.get(state, 0)) for state in STATES},
            oldest_sent_at=float(stamp) / 1000 if stamp else None,
            canary_sent_at=float(done) if done else None,
        )


async def _answer(asked: Awaitable[Any] | Any) -> Any:
    """The client's methods are typed for both of its kinds, waiting and not; ours is always awaited."""
    return await asked


def ref_of(job: Job) -> RevisionRef:
    """The revision that an ingest job names. Raises KeyError, TypeError or ValueError for what is none of ours."""
    data = job.data
    return RevisionRef(
        tenant_id=TenantId(UUID(data["tenant_id"])),
        document_id=UUID(data["document_id"]),
        revision=int(data["revision"]),
    )


async def finish_canary(client: Redis, job: Job) -> None:
    """Notes when the finished canary was sent. Raises QueueUnavailable."""
    async with answering():
        await client.set(_CANARY_DONE, float(job.data["sent_at"]))


async def new_worker(url: str, process: Process) -> Worker:
    """A worker that waits for `run`. Only with both of these does it take delayed jobs, and take them in time:

    1. `socket_timeout` None. Newer redis clients default to 5 s, less than the wait for a job, which then ends in
       an error that is swallowed: delayed jobs are never taken.
    2. The server's version read on the *blocking* connection too, else waits are rounded up to whole seconds.
    """
    worker = Worker(
        NAME,
        process,  # pyright: ignore[reportArgumentType]
        cast(
            "WorkerOptions",
            {
                "connection": {
                    **connection_arguments(url),
                    "socket_timeout": None,
                    "socket_connect_timeout": 5,
                },
                "autorun": False,
                "concurrency": 4,
                # A worker that was killed in the middle of a job: another takes it over after this time.
                "lockDuration": 10_000,
                "stalledInterval": 5_000,
                "runRetryDelay": 1_000,
            },
        ),
    )
    backend = cast("RedisBackend", worker.backend)
    for connection in (backend.connection, backend.blocking_connection):
        await cast("RedisConnection", connection).getRedisVersion()
    return worker
