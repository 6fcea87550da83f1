"""Redis, or Valkey: what is shared between processes and may be lost."""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chatbot.errors import QueueUnavailable

SECONDS = 1.0
CONNECTIONS = 16
_PROBE = "chatbot:probe"


def new_client(url: str, *, timed: bool = True) -> Redis:
    """A client that answers or fails within about a second: whoever asks has something else to fall back to.

    Not `timed`, it leaves that to whoever asks, once connected: one limit round a whole command costs less than one in each of
    its parts.
    """
    pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        decode_responses=True,
        max_connections=CONNECTIONS,
        timeout=SECONDS,
        socket_timeout=SECONDS if timed else None,
        socket_connect_timeout=SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)  # closes the pool with the client


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
        try:
            await self._client.set(_PROBE, value, ex=60)
            found = await self._client.get(_PROBE)
        except (RedisError, OSError) as error:
            raise QueueUnavailable(f"Redis does not answer: {error}") from error
        if found is None:
            raise QueueUnavailable("Redis does not keep what it is given.")
