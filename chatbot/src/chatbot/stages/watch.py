"""Queue and pool → gauges; and the canaries that prove a worker alive."""

from __future__ import annotations

from chatbot.core.canary import ASKER
from chatbot.errors import QueueUnavailable
from chatbot.stages.ports import Outside
from chatbot.store.tenants import known_tenants
from chatbot.telemetry import (
    CANARY_AGE,
    POOL,
    POOL_WAITING,
    QUEUE_AGE,
    QUEUE_DEPTH,
    TENANT_LABELS,
    show_tenants,
)

QUEUE = "chatbot"
STATES = ("waiting", "active", "delayed", "failed")
_UNKNOWN = float("nan")


async def watch_queue(outside: Outside) -> None:
    """Sends a canary and shows what is in the queue. Raises QueueUnavailable, after showing that nothing is known."""
    now = outside.clocks.wall()
    try:
        await outside.jobs.send_canary(now)
        state = await outside.jobs.state()
    except QueueUnavailable:
        for each in STATES:
            QUEUE_DEPTH.labels(queue=QUEUE, state=each).set(_UNKNOWN)
        QUEUE_AGE.labels(queue=QUEUE).set(_UNKNOWN)
        raise
    for each, count in state.depth.items():
        QUEUE_DEPTH.labels(queue=QUEUE, state=each).set(count)
    QUEUE_AGE.labels(queue=QUEUE).set(max(0.0, now - state.oldest_sent_at) if state.oldest_sent_at else 0)
    CANARY_AGE.labels(queue=QUEUE).set(now - state.canary_sent_at if state.canary_sent_at else _UNKNOWN)


async def watch_tenants(outside: Outside) -> None:
    """Gives every tenant its series of violations at 0, before there is one. Raises StoreUnavailable."""
    show_tenants([ASKER.tenant_id])
    show_tenants(await known_tenants(outside.database, most=TENANT_LABELS))


def show_pool(outside: Outside) -> None:
    """Shows how busy the database pool is."""
    use = outside.database.use()
    POOL.labels(state="in_use").set(use.in_use)
    POOL.labels(state="idle").set(use.idle)
    POOL.labels(state="max").set(use.largest)
    POOL_WAITING.set(use.waiting)
