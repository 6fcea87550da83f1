"""Many requests at once → one transaction: what waits for the same thing waits together.

While one run is under way, whoever comes is gathered for the next, so that a run never answers for a moment before the
request. A request alone runs at once. Whoever leaves takes nothing from the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
# One run takes so many at most.
MOST = 64


class Together:
    """Runs by key: one at a time for each."""

    def __init__(self) -> None:
        self._waiting: dict[object, list[tuple[Any, asyncio.Future[Any]]]] = {}
        self._running: dict[object, asyncio.Task[None]] = {}

    async def run(
        self, key: object, item: Item, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
    ) -> Result:
        """What `work` gives for the item; it is given all that wait under the key, and gives as many. Raises what it raises."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append((item, future))
        if key not in self._running:
            self._running[key] = asyncio.create_task(self._go_round(key, work))
        return await future

    async def _go_round(self, key: object, work: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]) -> None:
        try:
            while gathered := self._waiting.get(key):
                batch = gathered[:MOST]
                del gathered[:MOST]
                await _one(batch, work)
        finally:
            del self._running[key]
            for _, future in self._waiting.pop(key, []):
                future.cancel()


async def _one(
    batch: list[tuple[Any, asyncio.Future[Any]]], work: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]
) -> None:
    waiting = [(item, future) for item, future in batch if not future.done()]
    if not waiting:
        return
    try:
        results = await work([item for item, _ in waiting])
    except Exception as error:  # noqa: BLE001 - handed to everybody who waits for it
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)
        return
    for (_, future), result in zip(waiting, results, strict=True):
        if not future.done():
            future.set_result(result)
