"""A process that is told to stop must not go on because something swallowed it: it would be killed in the middle of an answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from chatbot.integrations.redis import new_client
from chatbot.stages.repeat import every

PATIENCE = 5.0


async def test_a_command_of_redis_never_loses_a_cancellation(valkey_url: str) -> None:
    """At whatever point of a command it comes. The library's own limit of a write lost one in six."""

    async def for_ever() -> None:
        while True:
            await client.get("nothing")

    async with new_client(valkey_url) as client:
        for number in range(200):
            asking = asyncio.create_task(for_ever())
            await asyncio.sleep(number % 25 / 10_000)
            asking.cancel()
            stopped, _ = await asyncio.wait({asking}, timeout=PATIENCE)
            assert stopped, f"the command that was cancelled as number {number} went on"
            assert asking.cancelled()


async def test_a_loop_ends_though_its_action_lost_the_cancellation() -> None:
    """At the end of the round at the latest."""
    begun = asyncio.Event()

    async def loses() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    looping = asyncio.create_task(every(timedelta(hours=1), "loses", loses))
    await begun.wait()
    looping.cancel()
    stopped, _ = await asyncio.wait({looping}, timeout=PATIENCE)
    assert stopped
    assert looping.cancelled()
