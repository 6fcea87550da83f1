"""Orders in Redis, where the other processes read them while PostgreSQL is gone."""

# redis-py's types of hash commands are half of a union with the synchronous client.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Awaitable
from typing import cast

import orjson
import structlog
from redis.asyncio import Redis

from chatbot.core.orders import Orders
from chatbot.integrations.orders_text import block_fields, flag_fields, orders_of
from chatbot.integrations.redis import answering

log = structlog.get_logger()

FLAGS, BLOCKS = "chatbot:flags", "chatbot:blocks"


class SharedOrders:
    """One hash of flags, one of blocks; the fields are names and networks, the values JSON."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def load(self) -> Orders:
        """What is there. Raises QueueUnavailable."""
        async with answering():
            flags = await cast("Awaitable[dict[str, str]]", self._client.hgetall(FLAGS))
            blocks = await cast("Awaitable[dict[str, str]]", self._client.hgetall(BLOCKS))
        try:
            return orders_of(map(orjson.loads, flags.values()), map(orjson.loads, blocks.values()))
        except (ValueError, KeyError, TypeError) as error:
            # Whatever wrote that, it is no order of ours: what is stored elsewhere stands.
            log.warning("shared_orders_not_understood", error=str(error))
            return Orders()

    async def publish(self, orders: Orders) -> None:
        """Writes these. Raises QueueUnavailable."""
        flags = {name: orjson.dumps(flag_fields(flag)) for name, flag in orders.flags.items()}
        blocks = {str(net): orjson.dumps(block_fields(block)) for net, block in orders.blocks.items()}
        async with answering():
            if flags:
                await cast("Awaitable[int]", self._client.hset(FLAGS, mapping=flags))
            if blocks:
                await cast("Awaitable[int]", self._client.hset(BLOCKS, mapping=blocks))

    async def forget(self, networks: list[str]) -> None:
        """Removes these blocks. Raises QueueUnavailable."""
        async with answering():
            if networks:
                await cast("Awaitable[int]", self._client.hdel(BLOCKS, *networks))
