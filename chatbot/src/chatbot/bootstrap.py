"""Puts the parts together. The only file that knows every concrete class."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from openfeature import api
from redis.asyncio import Redis

from chatbot.config import Settings
from chatbot.core.breaker import Breaker
from chatbot.integrations import queue as queues
from chatbot.integrations.flags import FlagSnapshot
from chatbot.integrations.llm import Model
from chatbot.integrations.queue import JobQueue
from chatbot.integrations.rerank import Reranker
from chatbot.stages.answer import show
from chatbot.stages.ports import Parts
from chatbot.store import boot
from chatbot.store.db import Database
from chatbot.telemetry import BREAKER_FAILURES

POOL_SIZE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything that runs in one process."""

    parts: Parts
    snapshot: FlagSnapshot
    redis: Redis
    queue: JobQueue


@asynccontextmanager
async def house(settings: Settings, *, application: str, pool_size: int = POOL_SIZE) -> AsyncGenerator[House]:
    """Everything, opened and checked, and closed at the end. Raises UnsafeDatabase, StoreUnavailable."""
    snapshot = FlagSnapshot(settings.flags_file)
    api.set_provider(snapshot, domain="chatbot")
    redis = queues.connect(settings.redis_url)
    queue = JobQueue(settings.redis_url)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session,
        Database(settings.database_url, size=pool_size, application=application) as database,
    ):
        await boot.check(database)
        models = [Model(session, provider) for provider in settings.providers]
        breakers = {model.name: Breaker() for model in models}
        for name, breaker in breakers.items():
            BREAKER_FAILURES.labels(breaker=name)
            show(name, breaker)
        parts = Parts(
            database=database,
            flags=api.get_client("chatbot"),
            models=models,
            breakers=breakers,
            reranker=Reranker(session, settings.rerank_url) if settings.rerank_url else None,
        )
        try:
            yield House(parts=parts, snapshot=snapshot, redis=redis, queue=queue)
        finally:
            await queue.close()
            await redis.aclose()
