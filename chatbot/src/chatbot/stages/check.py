"""Component → health. Each check takes the path that the product takes, within a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from chatbot.core.breaker import State
from chatbot.core.health import Condition, Health
from chatbot.core.tenancy import TenantId
from chatbot.errors import EmbeddingModelChanged, ProviderError, QueueUnavailable, StoreUnavailable
from chatbot.stages.ports import Outside, Provider
from chatbot.store.embedding_models import check_model
from chatbot.store.passages import passages_with_words

LONGEST = timedelta(seconds=2)
CANARY_EVERY = timedelta(seconds=2)
# A canary may be late by a busy queue; three in a row missing is a dead worker.
CANARY_LATE = CANARY_EVERY * 3 + timedelta(seconds=4)
# A provider that nobody asks is asked for its list of models, this rarely: a probe spends quota.
PROBE_EVERY = timedelta(seconds=30)
NOBODY = TenantId(UUID(int=0))

Verdict = tuple[Condition, str]
OK = Condition.OK
DEGRADED = Condition.DEGRADED
DOWN = Condition.DOWN


class Checks:
    """The checks of one process, with what they remember between calls."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._started = outside.clocks.wall()
        self._probed: dict[str, tuple[float, str | None]] = {}
        self._probing = asyncio.Lock()
        self.components: dict[str, Callable[[], Awaitable[Verdict]]] = {
            "database": self._database,
            "redis": self._redis,
            "groq": self._groq,
            "queue": self._queue,
        }

    async def check(self, component: str) -> Health:
        """The component's health now."""
        clock = self._outside.clocks.monotonic
        began = clock()
        try:
            async with asyncio.timeout(LONGEST.total_seconds()):
                condition, reason = await self.components[component]()
        except (StoreUnavailable, QueueUnavailable) as error:
            condition, reason = DOWN, str(error)
        except TimeoutError:
            condition, reason = DOWN, f"No answer within {LONGEST.total_seconds():g} s."
        took = round((clock() - began) * 1000, 2)
        return Health(component=component, condition=condition, reason=reason, latency_ms=took)

    async def check_all(self) -> list[Health]:
        """Every component's health, side by side."""
        return list(await asyncio.gather(*(self.check(component) for component in self.components)))

    async def _database(self) -> Verdict:
        await passages_with_words(self._outside.database, NOBODY, "health")
        async with self._outside.database.system() as conn:
            try:
                await check_model(conn, self._outside.embedder.name)
            except EmbeddingModelChanged as error:
                return DOWN, str(error)
        use = self._outside.database.use()
        if use.waiting:
            return DEGRADED, f"{use.waiting} requests wait for one of {use.largest} connections."
        return OK, "A search through the pool and row-level security went through."

    async def _redis(self) -> Verdict:
        await self._outside.redis.round_trip(f"{self._outside.clocks.wall():.6f}")
        return OK, "A value was written and read back."

    async def _queue(self) -> Verdict:
        state = await self._outside.jobs.state()
        now = self._outside.clocks.wall()
        late = CANARY_LATE.total_seconds()
        if state.canary_sent_at is not None and now - state.canary_sent_at <= late:
            return OK, f"A worker finished the canary job sent {now - state.canary_sent_at:.1f} s ago."
        if now - self._started <= late:
            return DEGRADED, "No worker has finished a canary job of this process yet; it has just started."
        if state.canary_sent_at is None:
            return DOWN, "No worker has ever finished a canary job. Start one with: chatbot work."
        age = now - state.canary_sent_at
        return (
            DOWN,
            f"The last canary job that a worker finished was sent {age:.0f} s ago, limit {late:.0f} s.",
        )

    async def _groq(self) -> Verdict:
        providers = self._outside.providers
        if not providers:
            return DEGRADED, "No provider has a key: answers are quoted from the passages."
        faults = [await self._fault(provider) for provider in providers]
        first = providers[0].model.name
        if faults[0] is None:
            return OK, f"{first} answers."
        for provider, fault in zip(providers[1:], faults[1:], strict=True):
            if fault is None:
                return DEGRADED, f"{faults[0]} Answers come from {provider.model.name}."
        return DOWN, " ".join(
            [*(fault for fault in faults if fault), "Answers are quoted from the passages."]
        )

    async def _fault(self, provider: Provider) -> str | None:
        """What is wrong with the provider: by its recent calls if there are any, else by a rare probe."""
        now = self._outside.clocks.monotonic()
        name = provider.model.name
        if provider.breaker.state is State.FORCED_OPEN:
            return f"{name}: an operator holds the circuit breaker open."
        if provider.breaker.state is State.OPEN:
            return f"{name}: the circuit breaker is open for {provider.breaker.retry_after(now):.0f} s more."
        calls, failures = provider.breaker.counts(now)
        if failures * 2 >= calls > 0:
            return f"{name}: {failures} of the last {calls} calls failed."
        return None if calls else await self._probe(provider, now)

    async def _probe(self, provider: Provider, now: float) -> str | None:
        name = provider.model.name
        async with self._probing:
            probed = self._probed.get(name)
            if probed is not None and now - probed[0] < PROBE_EVERY.total_seconds():
                return probed[1]
            fault: str | None = None
            try:
                async with asyncio.timeout(LONGEST.total_seconds() / 2):
                    await provider.model.probe()
            except ProviderError as error:
                fault = str(error)
            except TimeoutError:
                fault = f"{name} did not answer within {LONGEST.total_seconds() / 2:g} s."
            self._probed[name] = (now, fault)
            return fault
