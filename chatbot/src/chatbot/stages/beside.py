"""Two things that need nothing of each other, done at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

One = TypeVar("One")
Other = TypeVar("Other")


@asynccontextmanager
async def beside(other: Coroutine[Any, Any, Other]) -> AsyncGenerator[asyncio.Task[Other]]:
    """Goes on while the block does, which awaits it somewhere. A block that fails takes it along."""
    going_on = asyncio.create_task(other)
    try:
        yield going_on
    except BaseException:
        going_on.cancel()
        await asyncio.gather(going_on, return_exceptions=True)
        raise


async def side_by_side(one: Coroutine[Any, Any, One], other: Coroutine[Any, Any, Other]) -> tuple[One, Other]:
    """What both give. Raises what the first of them raises, else the other; neither goes on after that."""
    async with beside(other) as going_on:
        return await one, await going_on
