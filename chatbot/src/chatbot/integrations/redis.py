"""Redis, or Valkey: what is shared between processes and may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chatbot.errors import ChatbotError, QueueUnavailable

SECONDS = 1.0
CONNECTIONS = 16
_PROBE = "chatbot:probe"


def new_client(url: str) -> Redis:
    """A client that connects or fails within about a second. Ask it within `answering`: it has no other limit.

    The library's own limit of a write is `asyncio.wait_for`, which before Python 3.12 can lose a cancellation
    (python/cpython#86296): a process that was told to stop did not end. One round the whole costs less besides.
    """
    return Redis.from_pool(new_pool(url))  # closes the pool with the client


def new_pool(url: str, *, seconds: float = SECONDS, connections: int = CONNECTIONS) -> BlockingConnectionPool:
    """The connections of a client, for a library that makes its own. As for `new_client`."""
    return BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        decode_responses=True,
        max_connections=connections,
        timeout=seconds,
        socket_timeout=None,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    )


@asynccontextmanager
async def answering(
    seconds: float = SECONDS, *, otherwise: type[ChatbotError] = QueueUnavailable
) -> AsyncGenerator[None]:
    """Round what Redis is asked. Raises `otherwise` where it does not answer within so many seconds.

    Whoever asks has something else to fall back to, and a person waits.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except (RedisError, OSError) as error:  # TimeoutError is an OSError
        raise otherwise(f"Redis does not answer: {str(error) or f'not within {seconds:g} s'}") from error


def connection_arguments(url: str) -> dict[str, Any]:
    """The address taken apart, for a program that makes its own connections."""
    arguments: dict[str, Any] = dict(parse_url(url))
    if arguments.pop("connection_class", None) is SSLConnection:
        arguments["ssl"] = True
    return arguments


class RedisProbe:
    """Whether Redis keeps what it is given."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def round_trip(self, value: str) -> None:
        """Writes and reads back. Raises QueueUnavailable."""
        async with answering():
            await self._client.set(_PROBE, value, ex=60)
            found = await self._client.get(_PROBE)
        if found is None:
            raise QueueUnavailable("Redis does not keep what it is given.")
