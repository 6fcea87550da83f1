"""SIGKILL at the worst moment: the page still arrives, and a receiver that knows the key gets it once."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from house import House


@asynccontextmanager
async def worker_process(house: House) -> AsyncGenerator[asyncio.subprocess.Process]:
    """`responder work`, as it is run in production, to be killed."""
    environ = {
        **house.environ,
        "PATH": os.environ["PATH"],
        "RESPONDER_WORKER_METRICS_PORT": str(house.free_port()),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from responder.cli import main; main(['work'])",
        env=environ,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_killed_between_evidence_and_page_the_page_arrives_once(house: House) -> None:
    """The evidence is in, the page is on its way, the worker dies; the next worker delivers it, once."""
    house.world.hold_page = asyncio.Event()
    await house.fire()
    async with worker_process(house) as process:
        await house.until(lambda: house.world.page_tries > 0)
        assert (await house.kinds()).count("evidence_recorded") == 7
        process.kill()
        await process.wait()
    assert house.world.pages == []
    assert not any("paged by webhook" in text for text in await house.told())

    house.world.hold_page = None
    house.clock.set(datetime.now(UTC) + timedelta(minutes=1))  # past the dead worker's lease
    await house.work()
    webhook_pages = [page["idempotency_key"] for page in house.world.pages if page["step"] == 1]
    assert len(webhook_pages) == 1
    assert any("Alice paged by webhook" in text for text in await house.told())


async def test_killed_after_the_provider_took_it_the_repeat_carries_the_same_key(house: House) -> None:
    """The provider has the page, our record of it is lost: it is sent again under the same key, for the provider to fold."""
    await house.fire()
    await house.work()
    key = house.world.pages[0]["idempotency_key"]
    async with house.outside.database.transaction() as conn:
        # The state in which a worker leaves the row that dies between the answer and its record.
        await conn.execute(
            "UPDATE pages SET state = 'due', sent_at = NULL, due_at = %s, lease_until = %s WHERE channel = 'webhook'",
            (house.clock.now(), house.clock.now() + timedelta(seconds=20)),
        )
    await house.work()
    assert len(house.world.pages) == 1
    await house.fast_forward(seconds=20)
    assert [page["idempotency_key"] for page in house.world.pages] == [key, key]


async def test_a_worker_that_lost_its_lease_cannot_record_over_the_one_that_took_over(house: House) -> None:
    """Two workers, one row: the timeline holds one page, whoever was slower."""
    house.world.hold_page = asyncio.Event()
    await house.fire()
    async with house.worker_running():
        await house.until(lambda: house.world.page_tries == 1)
        house.clock.move(timedelta(seconds=25))
        async with house.worker_running():
            await house.until(lambda: house.world.page_tries == 2)
            house.world.hold_page.set()
            await house.until(lambda: len(house.world.pages) == 2)
            await asyncio.sleep(0.3)
    assert [text for text in await house.told() if "paged by webhook" in text] == ["Alice paged by webhook"]
    assert house.world.pages[0]["idempotency_key"] == house.world.pages[1]["idempotency_key"]
