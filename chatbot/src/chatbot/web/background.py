"""What the server does without being asked: keeps its flags, blocks and settings fresh, sends canaries, tells the responder of
violations, tries the boot check again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from chatbot.errors import ChatbotError, UnsafeDatabase
from chatbot.stages.agree import agree
from chatbot.stages.check import CANARY_EVERY
from chatbot.stages.ports import Outside
from chatbot.stages.probe import probe_isolation
from chatbot.stages.tell import tell_responder
from chatbot.stages.tune import refresh_settings
from chatbot.stages.watch import watch_queue, watch_tenants

log = structlog.get_logger()

ORDERS_EVERY = timedelta(seconds=1)
SETTINGS_EVERY = timedelta(seconds=0.5)
VERIFY_EVERY = timedelta(seconds=1)
# The canary asks for its secret as somebody else.
PROBE_EVERY = timedelta(minutes=1)
TENANTS_EVERY = timedelta(seconds=30)
# A new violation wakes the loop; this is for those that are to be told again.
TELL_EVERY = timedelta(seconds=1)


async def verify_until_done(outside: Outside) -> None:
    """Tries the boot check until PostgreSQL answers. Raises UnsafeDatabase: the server must stop."""
    while True:
        try:
            await outside.database.verify()
        except UnsafeDatabase:
            raise
        except ChatbotError as error:
            log.warning("database_not_verified", error=str(error))
            await asyncio.sleep(VERIFY_EVERY.total_seconds())
        else:
            log.info("database_verified")
            return


async def keep_orders(outside: Outside) -> None:
    """For ever, also while PostgreSQL has not passed the boot check: orders hold and arrive without it."""
    await _every(ORDERS_EVERY, "agree", lambda: agree(outside))


async def run_loops(outside: Outside) -> None:
    """For ever: each loop on its own, so that one that waits for Redis does not hold up the others."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_every(SETTINGS_EVERY, "refresh_settings", lambda: refresh_settings(outside)))
        group.create_task(_every(CANARY_EVERY, "watch_queue", lambda: watch_queue(outside)))
        group.create_task(_every(TENANTS_EVERY, "watch_tenants", lambda: watch_tenants(outside)))
        group.create_task(_every(PROBE_EVERY, "probe_isolation", lambda: _probe(outside)))
        group.create_task(tell_for_ever(outside))


async def _probe(outside: Outside) -> None:
    await probe_isolation(outside)


async def tell_for_ever(outside: Outside) -> None:
    """Tells the responder of violations, the moment that there is one. For the server and the worker alike."""
    wake = outside.alarm.wake
    await _every(TELL_EVERY, "tell_responder", lambda: tell_responder(outside), wake=wake)


async def _every(
    pause: timedelta, name: str, action: Callable[[], Awaitable[None]], *, wake: asyncio.Event | None = None
) -> None:
    """Goes round for ever; waits `pause` in between, less when woken."""
    wake = wake or asyncio.Event()
    failing = False
    while True:
        wake.clear()
        try:
            await action()
            if failing:
                log.info("background_recovered", loop=name)
            failing = False
        except Exception as error:  # noqa: BLE001 - the loop's boundary: it must go round again
            if not failing:  # once an outage, not once a second
                log.warning("background_failed", loop=name, error=str(error), kind=type(error).__name__)
            failing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await wake.wait()
