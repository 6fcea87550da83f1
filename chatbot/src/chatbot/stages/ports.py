"""What a stage is handed. The classes behind these are known to bootstrap only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from opentelemetry.trace import Tracer

from chatbot.core.answer_settings import InForce
from chatbot.core.answers import Accepted, Message, Usage
from chatbot.core.audit import AuditEntry
from chatbot.core.blocks import Blocklist
from chatbot.core.breaker import Breaker
from chatbot.core.breakers import Breakers
from chatbot.core.cached import CachedAnswer, Marks
from chatbot.core.client_address import TrustedProxies
from chatbot.core.defence import Attempt, Proof, Tallies
from chatbot.core.documents import Fetched, MediaType, RevisionRef
from chatbot.core.flags import Flag
from chatbot.core.known import KnownCallers
from chatbot.core.limits import Detour, Limit, Limits, LocalCounts
from chatbot.core.offenders import Offenders
from chatbot.core.orders import Orders
from chatbot.core.outline import Block
from chatbot.core.passages import Vector
from chatbot.core.tenancy import TenantId
from chatbot.core.throttle import Throttle
from chatbot.core.tokens import Grant
from chatbot.core.violation import Violation, wait_after
from chatbot.stages.together import Together
from chatbot.store.db import Database


class LanguageModel(Protocol):
    """One provider's models."""

    name: str

    @property
    def patience(self) -> float: ...

    def stream(
        self, messages: Sequence[Message], *, model: str, max_tokens: int, patience: float
    ) -> AsyncGenerator[str | Usage | Accepted]: ...

    async def probe(self) -> None: ...


class PassageOrder(Protocol):
    """The reranker."""

    async def order(self, query: str, texts: Sequence[str]) -> list[int]: ...


class Switches(Protocol):
    """The feature flags."""

    def enabled(self, name: str) -> bool: ...

    def all(self) -> Mapping[str, Flag]: ...


class Standing(Protocol):
    """The orders in force in this process: flags and blocks."""

    blocklist: Blocklist

    @property
    def held(self) -> Orders: ...
    @property
    def owed(self) -> Mapping[UUID, AuditEntry]: ...

    def take(self, read: Orders, *, owe: Mapping[UUID, AuditEntry] | None = None) -> None: ...

    def paid(self, entries: Iterable[UUID]) -> None: ...

    def forget(self, now: datetime) -> None: ...

    def look(self) -> None: ...


class SharedCounting(Protocol):
    """Counts of requests that all processes share."""

    async def hit(self, limit: Limit, name: str, *, requests: int = 1) -> bool: ...

    async def wait(self, limit: Limit, name: str) -> float: ...


class SharedOrders(Protocol):
    """The orders where other processes read them."""

    async def load(self) -> Orders: ...

    async def publish(self, orders: Orders) -> None: ...

    async def forget(self, networks: list[str]) -> None: ...


class Answers(Protocol):
    """The answers that are kept to be given again."""

    async def find(
        self, tenant_id: TenantId, digests: Sequence[str]
    ) -> Sequence[tuple[CachedAnswer | None, Marks]]: ...

    async def keep(
        self, tenant_id: TenantId, digest: str, answer: CachedAnswer, *, marks: Marks, lasts: timedelta
    ) -> None: ...

    async def drop(self, tenant_id: TenantId, digest: str) -> None: ...

    async def clear(self, tenant_id: TenantId | None) -> int: ...


class Passwords(Protocol):
    """Password hashes, made and verified at a bounded rate."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str, *, kept: str | None) -> bool: ...

    def outdated(self, kept: str) -> bool: ...


class Tokens(Protocol):
    """Signed tokens."""

    def issue(self, grant: Grant) -> str: ...

    def read(self, text: str, *, now: float) -> Grant: ...


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

    async def forget_tenant(self, tenant_id: TenantId) -> int: ...

    async def send_ingest(self, ref: RevisionRef) -> None: ...

    async def state(self) -> JobCounts: ...


class Counting:
    """The counts of requests of one process, and where all processes count together."""

    # While Redis is gone only one request in so many seconds learns it by waiting.
    AROUND_REDIS_SECONDS = 2.0

    def __init__(self, limits: Limits, shared: SharedCounting) -> None:
        self.limits = limits
        self.shared = shared
        self.local = LocalCounts()
        self.redis = Detour(self.AROUND_REDIS_SECONDS)


class Failures(Protocol):
    """Failed sign-ins, as all processes know them."""

    async def take(self, attempt: Attempt, now: float) -> Tallies: ...

    async def give_back(self, attempt: Attempt, now: float, before: Tallies) -> None: ...

    async def forgive(self, account: str) -> None: ...

    async def welcome(self, attempt: Attempt) -> None: ...

    async def use(self, nonce: str, seconds: int) -> bool: ...


class FailuresHere(Protocol):
    """Failed sign-ins, as this process knows them."""

    def take(self, attempt: Attempt, now: float) -> Tallies: ...

    def give_back(self, attempt: Attempt, now: float, before: Tallies) -> None: ...

    def forgive(self, account: str) -> None: ...

    def welcome(self, attempt: Attempt, now: float) -> None: ...

    def use(self, nonce: str, expires_at: float) -> bool: ...


class Solution(Protocol):
    """A right solution of a challenge of ours."""

    @property
    def nonce(self) -> str: ...
    @property
    def proof(self) -> Proof: ...
    @property
    def expires_at(self) -> int: ...


class Challenges(Protocol):
    """Proof of work."""

    def challenge(self, proof: Proof, *, now: float) -> dict[str, Any]: ...

    def check(self, text: str, *, now: float) -> Solution | None: ...


class Admitting(Protocol):
    """Places to be answered in."""

    def has_room(self, tenant: str) -> bool: ...

    async def enter(self, tenant: str) -> Callable[[], None]: ...


class Embedder(Protocol):
    """What turns texts into vectors. `tokens` tells how the texts are cut, also where another model embeds them;
    `telling` which words of a question are rare in the language, each without a quotation mark.
    """

    name: str

    async def embed(self, texts: Sequence[str]) -> list[Vector]: ...

    def tokens(self, text: str) -> Sequence[tuple[int, int]]: ...

    def telling(self, question: str) -> Sequence[str]: ...


class Parser(Protocol):
    """What reads PDF and HTML, kept apart from this process."""

    async def parse(self, media_type: MediaType, parts: Sequence[bytes], *, whole: bool) -> list[Block]: ...


class Fetcher(Protocol):
    """What fetches a page from outside, and nothing from inside."""

    async def fetch(self, url: str) -> Fetched: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider behind its breakers, one for each of its models."""

    model: LanguageModel
    breakers: Breakers

    @property
    def name(self) -> str:
        """As it is named in settings, metrics and answers."""
        return self.model.name

    @property
    def breaker(self) -> Breaker:
        """The default model's breaker."""
        return self.breakers.default


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """`monotonic` measures, in seconds; `wall` is seconds since the epoch, for what other programs read."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


class Hook(Protocol):
    """Who is told of a violation."""

    async def tell(self, body: bytes, *, timestamp: int) -> None: ...


@dataclass(slots=True, kw_only=True)
class Held:
    """A violation that is not in the database yet, and how often the responder was tried from here."""

    violation: Violation
    held_back: int
    attempts: int = 0
    tried_at: datetime | None = None
    told_at: datetime | None = None

    def due_at(self, now: datetime) -> datetime:
        """When it may be sent from memory."""
        return now if self.tried_at is None else self.tried_at + wait_after(self.attempts)


# So many violations are held in memory while PostgreSQL is away; then the oldest gives way, and is logged.
MOST_HELD = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """The detector's own: a pool that no request can exhaust, and what is held while PostgreSQL is away.

    `hook` is None where no responder is configured; the rows then wait for one. `scraped` says whether anybody reads this
    process's metrics; what is withheld in another is counted by one that is.
    """

    database: Database
    hook: Hook | None
    throttle: Throttle
    scraped: bool = True
    held: deque[Held] = field(default_factory=lambda: deque[Held](maxlen=MOST_HELD))
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    keeping: asyncio.Lock = field(default_factory=asyncio.Lock)


class Detector(Protocol):
    """What `withhold_foreign` needs."""

    @property
    def alarm(self) -> Alarm: ...
    @property
    def clocks(self) -> Clocks: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A detector alone, for a command."""

    alarm: Alarm
    clocks: Clocks


def now_of(clocks: Clocks) -> datetime:
    """The time of day, as rows keep it."""
    return datetime.fromtimestamp(clocks.wall(), UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Everything a stage needs from outside. `providers` in the order in which they are asked; may be empty."""

    database: Database
    providers: tuple[Provider, ...]
    reranker: PassageOrder
    flags: Switches
    orders: Standing
    shared_orders: SharedOrders
    trusted_proxies: TrustedProxies
    allowed_hosts: frozenset[str]
    counting: Counting
    places: Admitting
    offenders: Offenders
    failures: Failures
    local_failures: FailuresHere
    proof_of_work: Challenges
    redis: Probe
    jobs: Jobs
    embedder: Embedder
    embedding_breaker: Breaker
    parser: Parser
    fetcher: Fetcher
    fetch_allowed: frozenset[str]
    clocks: Clocks
    failure_audit: Throttle
    alarm: Alarm
    cache: Answers
    cache_breaker: Breaker
    cache_lasts: timedelta
    together: Together
    tracer: Tracer
    settings: InForce
    known: KnownCallers
    passwords: Passwords
    tokens: Tokens
