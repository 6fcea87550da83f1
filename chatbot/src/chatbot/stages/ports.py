"""What the stages are handed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from openfeature.client import OpenFeatureClient

from chatbot.core.breaker import Breaker
from chatbot.core.passage import Passage
from chatbot.integrations.llm import Ask
from chatbot.store.db import Database


class Speaker(Protocol):
    name: str

    def stream(self, ask: Ask) -> AsyncGenerator[str]:
        """The tokens of an answer. Raises ProviderFailed."""
        ...

    async def probe(self) -> None: ...


class Orderer(Protocol):
    async def order(self, question: str, passages: Sequence[Passage]) -> list[Passage]:
        """Best first. Raises RerankFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """`models` in the order in which they are asked, each with its breaker by name."""

    database: Database
    flags: OpenFeatureClient
    models: Sequence[Speaker]
    breakers: Mapping[str, Breaker]
    reranker: Orderer | None
