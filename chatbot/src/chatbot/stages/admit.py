"""Request of a tenant → a place to be answered in, after a bounded wait, or 503."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chatbot.core.admission import Admission
from chatbot.errors import Overloaded
from chatbot.telemetry import ANSWER_PLACES, ANSWER_WAIT, REFUSED


class Places:
    """The places of one process. `longest` is how long a request may wait, in seconds."""

    def __init__(self, *, places: int, waiting: int, longest: float) -> None:
        self._admission: Admission[asyncio.Future[None]] = Admission(places=places, waiting=waiting)
        self._longest = longest
        self._answering = ANSWER_PLACES.labels(state="answering")
        self._waiting = ANSWER_PLACES.labels(state="waiting")
        ANSWER_PLACES.labels(state="max").set(places)

    def has_room(self, tenant: str) -> bool:
        """Whether `enter` would not wait."""
        return self._admission.has_room(tenant)

    async def enter(self, tenant: str) -> Callable[[], None]:
        """Waits for a place. What it returns must be called once, when the answer has ended. Raises Overloaded."""
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        began = asyncio.get_running_loop().time()
        try:
            if not self._admission.enter(tenant, ticket):
                self._show()
                await self._wait(tenant, ticket)
        except Overloaded as error:
            error.retry_after = max(1, round(self._longest))
            REFUSED.labels(reason=error.reason).inc()
            raise
        finally:
            self._show()
        ANSWER_WAIT.observe(asyncio.get_running_loop().time() - began)
        return lambda: self._leave(tenant)

    async def _wait(self, tenant: str, ticket: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(self._longest):
                await ticket
        except (TimeoutError, asyncio.CancelledError) as error:
            if ticket.done() and not ticket.cancelled():
                self._leave(tenant)  # the place came in the same moment
            else:
                self._admission.give_up(tenant, ticket)
            if isinstance(error, TimeoutError):
                raise Overloaded(
                    f"No place became free within {self._longest:g} s; {self._admission.places} answers are under way.",
                    reason="queue_timeout",
                ) from error
            raise

    def _leave(self, tenant: str) -> None:
        for ticket in self._admission.leave(tenant):
            ticket.set_result(None)
        self._show()

    def _show(self) -> None:
        self._answering.set(self._admission.answering)
        self._waiting.set(self._admission.waiting)
