"""Sliding windows in Redis, counted for all processes together by the library `limits`."""

from __future__ import annotations

import time

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from chatbot.core.limits import Limit
from chatbot.integrations.redis import answering, new_pool

# A count is worth no more of a person's time: there is a local one.
SECONDS = 0.15
CONNECTIONS = 64


class SharedCounts:
    """What all processes count together. Raises QueueUnavailable within about SECONDS."""

    def __init__(self, url: str) -> None:
        self._pool = new_pool(url, seconds=SECONDS, connections=CONNECTIONS)
        # The address is the pool's; this one only says which protocol is spoken.
        storage = RedisStorage(
            "redis://",
            implementation="redispy",
            key_prefix="chatbot:limits",
            connection_pool=self._pool,  # pyright: ignore[reportArgumentType] - its options are typed too narrowly
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, limit: Limit, name: str, *, requests: int = 1) -> bool:
        """Counts so many requests, if there is room for all of them."""
        async with answering(SECONDS):
            return await self._limiter.hit(_item(limit), limit.name, name, cost=requests)

    async def wait(self, limit: Limit, name: str) -> float:
        """The seconds until there is room."""
        async with answering(SECONDS):
            stats = await self._limiter.get_window_stats(_item(limit), limit.name, name)
        return max(0.0, stats.reset_time - time.time())

    async def aclose(self) -> None:
        await self._pool.disconnect()


def _item(limit: Limit) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(limit.amount, limit.seconds)
