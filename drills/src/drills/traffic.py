"""People who ask: questions of several tenants at a steady rate, each answer read to its end."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

RATE = 20.0
QUESTIONS = (
    "How long can I return goods?",
    "When do parcels leave?",
    "Who pays for the way back?",
    "How do I reach a person?",
)


@dataclass(slots=True)
class Traffic:
    """`outcomes` counts answers by status; 0 for no answer at all."""

    url: str
    keys: Mapping[str, str]
    rate: float = RATE
    outcomes: Counter[int] = field(default_factory=Counter[int])

    async def run(self) -> None:
        """Asks until cancelled. The pace does not wait for answers, as people do not."""
        turns = itertools.cycle(itertools.product(QUESTIONS, self.keys))
        limits = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(timeout=limits) as session, asyncio.TaskGroup() as group:
            for number, (question, tenant) in enumerate(turns):
                # Each is asked once: an answer that is kept would hide a fault from the alert.
                asked = f"{question} This is about order {number}."
                group.create_task(self._ask(session, self.keys[tenant], asked))
                await asyncio.sleep(1 / self.rate)

    async def _ask(self, session: aiohttp.ClientSession, key: str, question: str) -> None:
        try:
            async with session.post(
                f"{self.url}/api/chat", json={"message": question}, headers={"X-Api-Key": key}
            ) as response:
                await response.read()
                self.outcomes[response.status] += 1
        except (aiohttp.ClientError, TimeoutError):
            self.outcomes[0] += 1
