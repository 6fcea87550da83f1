"""What a process does without being asked, again and again, for as long as it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from chatbot.errors import ChatbotError, EmbeddingModelChanged, UnsafeDatabase
from chatbot.stages.ports import Outside
from chatbot.store.embedding_models import check_model

log = structlog.get_logger()

VERIFY_EVERY = timedelta(seconds=1)


async def verify(outside: Outside) -> None:
    """The boot check, and that the stored vectors are of the model that is configured.

    Raises UnsafeDatabase and EmbeddingModelChanged: the process must stop; and StoreUnavailable.
    """
    await outside.database.verify()
    async with outside.database.system() as conn:
        await check_model(conn, outside.embedder.name)


async def verify_until_done(outside: Outside) -> None:
    """Verifies, as soon as PostgreSQL answers. Raises UnsafeDatabase and EmbeddingModelChanged: the process must stop."""
    while True:
        try:
            await verify(outside)
        except (UnsafeDatabase, EmbeddingModelChanged):
            raise
        except ChatbotError as error:
            log.warning("database_not_verified", error=str(error))
            await asyncio.sleep(VERIFY_EVERY.total_seconds())
        else:
            log.info("database_verified")
            return


async def every(
    pause: timedelta, name: str, action: Callable[[], Awaitable[object]], *, wake: asyncio.Event | None = None
) -> None:
    """Does the action until cancelled; waits `pause` in between, less when woken. One that fails is told of once an outage."""
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
        if (task := asyncio.current_task()) and task.cancelling():
            # `asyncio.wait_for` in a library has lost the cancellation (before Python 3.12: python/cpython#86296).
            raise asyncio.CancelledError
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await wake.wait()
