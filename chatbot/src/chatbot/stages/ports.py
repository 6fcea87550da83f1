"""What a stage is handed. The classes behind these are known to bootstrap only."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chatbot.core.answers import Message
from chatbot.core.breaker import Breaker
from chatbot.core.flags import Flag
from chatbot.core.throttle import Throttle
from chatbot.store.db import Database


class LanguageModel(Protocol):
    """One model of one provider."""

    name: str

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str]: ...

    async def probe(self) -> None: ...


class PassageOrder(Protocol):
    """The reranker."""

    async def order(self, query: str, texts: Sequence[str]) -> list[int]: ...


class Switches(Protocol):
    """The feature flags."""

    def enabled(self, name: str) -> bool: ...

    def all(self) -> Mapping[str, Flag]: ...

    def replace(self, stored: dict[str, Flag]) -> None: ...


class Probe(Protocol):
    """Something that keeps what it is given."""

    async def round_trip(self, value: str) -> None: ...


class JobCounts(Protocol):
    """What is in the queue, in seconds since the epoch where it is a time."""

    @property
    def depth(self) -> dict[str, int]: ...
    @property
    def oldest_sent_at(self) -> float | None: ...
    @property
    def canary_sent_at(self) -> float | None: ...


class Jobs(Protocol):
    """The sending end of the queue."""

    async def send_canary(self, sent_at: float) -> None: ...

    async def state(self) -> JobCounts: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A model behind its breaker."""

    model: LanguageModel
    breaker: Breaker


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """`monotonic` measures, in seconds; `wall` is seconds since the epoch, for what other programs read."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Everything a stage needs from outside. `providers` in the order in which they are asked; may be empty."""

    database: Database
    providers: tuple[Provider, ...]
    reranker: PassageOrder
    flags: Switches
    redis: Probe
    jobs: Jobs
    clocks: Clocks
    failure_audit: Throttle
    top_k: int
    max_tokens: int
