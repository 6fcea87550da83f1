"""Requests that wait for the same thing wait together, and none depends on another's patience."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from chatbot.stages.together import MOST, Together


class Slow:
    """Work that ends when it is told to, and remembers what it was given at once."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_end = asyncio.Semaphore(0)

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.may_end.acquire()
        if -1 in numbers:
            raise ValueError(f"{len(numbers)} at once")
        return [2 * number for number in numbers]


async def begin(together: Together, slow: Slow, *numbers: int) -> list[asyncio.Task[int]]:
    """Each asks; when this returns all wait."""
    asked = [asyncio.create_task(together.run("key", number, slow.double)) for number in numbers]
    await asyncio.sleep(0)
    return asked


async def test_whoever_comes_during_a_run_is_in_the_next() -> None:
    """The first goes alone and at once; those who came meanwhile go together; each gets its own."""
    together, slow = Together(), Slow()
    asked = await begin(together, slow, 1)
    asked += await begin(together, slow, 2, 3, 4)
    slow.may_end.release()
    slow.may_end.release()
    assert await asyncio.gather(*asked) == [2, 4, 6, 8]
    assert slow.batches == [[1], [2, 3, 4]]
    slow.may_end.release()
    assert await together.run("key", 5, slow.double) == 10


async def test_no_run_takes_more_than_its_bound() -> None:
    """What is too much for one run is in the one after it."""
    together, slow = Together(), Slow()
    asked = await begin(together, slow, 0)
    asked += await begin(together, slow, *range(1, MOST + 2))
    for _ in range(3):
        slow.may_end.release()
    assert await asyncio.gather(*asked) == [2 * number for number in range(MOST + 2)]
    assert [len(batch) for batch in slow.batches] == [1, MOST, 1]


async def test_whoever_leaves_takes_nothing_from_the_others() -> None:
    """The first is gone in the middle of its run, another before its run began: the rest are answered."""
    together, slow = Together(), Slow()
    (first,) = await begin(together, slow, 1)
    gone, stays = await begin(together, slow, 2, 3)
    gone.cancel()
    first.cancel()
    await asyncio.wait({first, gone})
    slow.may_end.release()
    slow.may_end.release()
    assert await stays == 6
    assert slow.batches == [[1], [3]]


async def test_an_error_is_told_to_all_who_waited_for_it_and_to_nobody_after() -> None:
    """Those of the run get it; the next run is a new one."""
    together, slow = Together(), Slow()
    (first,) = await begin(together, slow, 1)
    failed = await begin(together, slow, -1, 2)
    slow.may_end.release()
    slow.may_end.release()
    assert await first == 2
    for each in failed:
        with pytest.raises(ValueError, match="2 at once"):
            await each
    slow.may_end.release()
    assert await together.run("key", 3, slow.double) == 6
    slow.may_end.release()
    with pytest.raises(ValueError, match="1 at once"):
        await together.run("key", -1, slow.double)
