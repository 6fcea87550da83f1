"""Two parts of an answer that need nothing of each other are done side by side, and end together."""

from __future__ import annotations

import asyncio

import pytest

from chatbot.stages.beside import side_by_side


async def test_each_goes_on_while_the_other_waits() -> None:
    """Neither could end if the other had not begun."""
    first, second = asyncio.Event(), asyncio.Event()

    async def one() -> int:
        first.set()
        await second.wait()
        return 1

    async def other() -> str:
        second.set()
        await first.wait()
        return "two"

    assert await side_by_side(one(), other()) == (1, "two")


async def fail(how: Exception) -> None:
    await asyncio.sleep(0)
    raise how


async def for_ever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("ended")


async def test_where_one_fails_the_other_does_not_go_on() -> None:
    """Nothing is left behind that works for a request that is over, and no error stays unread."""
    ended: list[str] = []
    with pytest.raises(LookupError):
        await side_by_side(fail(LookupError()), for_ever(ended))
    assert ended == ["ended"]
    with pytest.raises(LookupError):
        await side_by_side(fail(LookupError()), fail(ValueError()))


async def test_both_end_with_whoever_waited_for_them() -> None:
    """A reader who leaves takes both away."""
    ended: list[str] = []
    waiting = asyncio.ensure_future(side_by_side(for_ever(ended), for_ever(ended)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["ended", "ended"]
