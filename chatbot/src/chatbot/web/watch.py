"""What the server does beside answering: follows the flags, sends canaries, asks after the provider, counts."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import structlog
from redis.exceptions import RedisError

from chatbot.bootstrap import House
from chatbot.core.health import Condition, Report
from chatbot.errors import ProviderFailed, StoreUnavailable
from chatbot.store import flags
from chatbot.telemetry import QUEUE_AGE, QUEUE_DEPTH

log = structlog.get_logger()

CANARY_SECONDS = 2.0
# A worker that has not done a canary for this long is not working.
CANARY_LIMIT = 10.0
# An active question costs the provider's quota: rare, since the answers themselves tell most.
PROBE_SECONDS = 15.0


class Watch:
    def __init__(self, house: House) -> None:
        self._house = house
        self._started = time.monotonic()
        self._probe = Report(condition=Condition.OK, reason="not asked yet", latency_ms=0.0)
        self._flags_changed = asyncio.Event()

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            for job in (self._follow_flags(), self._refresh_flags(), self._canaries(), self._probes()):
                group.create_task(job)

    @property
    def provider(self) -> Report:
        """What the provider's last probe said."""
        return self._probe

    @property
    def age(self) -> float:
        """Seconds since the process began to watch."""
        return time.monotonic() - self._started

    async def refresh(self) -> None:
        """Reads the flags now. Raises StoreUnavailable."""
        async with self._house.parts.database.transaction() as conn:
            every = await flags.every(conn)
        self._house.snapshot.update({flag.name: flag.enabled for flag in every})

    async def _follow_flags(self) -> None:
        async for _ in self._house.parts.database.listen("flags", on_ready=self._flags_changed.set):
            self._flags_changed.set()

    async def _refresh_flags(self) -> None:
        while True:
            await self._flags_changed.wait()
            self._flags_changed.clear()
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("flags_kept_from_memory", reason=str(error))

    async def _canaries(self) -> None:
        while True:
            try:
                await self._house.queue.add_canary()
                for state, count in (await self._house.queue.depths()).items():
                    QUEUE_DEPTH.labels(state=state).set(count)
                QUEUE_AGE.set(await self._house.queue.oldest_waiting_age())
            except RedisError as error:
                log.warning("canary_not_sent", reason=str(error))
            await asyncio.sleep(CANARY_SECONDS)

    async def _probes(self) -> None:
        while True:
            self._probe = await self._ask_provider()
            await asyncio.sleep(PROBE_SECONDS)

    async def _ask_provider(self) -> Report:
        models = self._house.parts.models
        if not models:
            return Report(
                condition=Condition.DEGRADED, reason="no provider has a key: passages answer", latency_ms=0.0
            )
        began = time.monotonic()
        try:
            await models[0].probe()
        except ProviderFailed as error:
            return Report(condition=Condition.DOWN, reason=str(error), latency_ms=_since(began))
        return Report(condition=Condition.OK, reason="", latency_ms=_since(began))


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
