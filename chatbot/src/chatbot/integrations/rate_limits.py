"""Sliding windows in Redis, counted for all processes together by the library `limits`."""

from __future__ import annotations

import asyncio
import time

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chatbot.core.limits import Limit
from chatbot.errors import QueueUnavailable

# A count is worth no more of a person's time: there is a local one.
SECONDS = 0.15
CONNECTIONS = 64


class SharedCounts:
    """What all processes count together. Raises QueueUnavailable within about SECONDS."""

    def __init__(self, url: str) -> None:
        self._pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
            url,
            decode_responses=True,
            max_connections=CONNECTIONS,
            timeout=SECONDS,
            socket_timeout=None,  # one for the whole, round each call, costs less than one for each of its parts
            socket_connect_timeout=SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
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
        try:
            async with asyncio.timeout(SECONDS):
                return await self._limiter.hit(_item(limit), limit.name, name, cost=requests)
        except (RedisError, OSError) as error:
            raise QueueUnavailable(f"Redis does not count: {error}") from error

    async def wait(self, limit: Limit, name: str) -> float:
        """The seconds until there is room."""
        try:
            async with asyncio.timeout(SECONDS):
                stats = await self._limiter.get_window_stats(_item(limit), limit.name, name)
        except (RedisError, OSError) as error:
            raise QueueUnavailable(f"Redis does not count: {error}") from error
        return max(0.0, stats.reset_time - time.time())

    async def aclose(self) -> None:
        await self._pool.disconnect()


def _item(limit: Limit) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(limit.amount, limit.seconds)
