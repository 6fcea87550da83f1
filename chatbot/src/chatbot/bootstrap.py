"""Puts the parts together. The only file that knows every concrete class."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module

import aiohttp
import stamina
from opentelemetry.trace import NoOpTracer, Tracer

from chatbot.config import Settings
from chatbot.core.answer_settings import AnswerSettings, InForce
from chatbot.core.breaker import Breaker, Limits
from chatbot.core.breakers import Breakers
from chatbot.core.known import KnownCallers
from chatbot.core.offenders import Offenders
from chatbot.core.throttle import Throttle
from chatbot.integrations.answer_cache import AnswerCache
from chatbot.integrations.embeddings import EmbeddingEndpoint, LocalEmbedder, RemoteEmbedder
from chatbot.integrations.failures import LocalFailures, SharedFailures
from chatbot.integrations.fetcher import SafeFetcher
from chatbot.integrations.flags import Flags
from chatbot.integrations.llm import ChatModel, Endpoint
from chatbot.integrations.orders import StandingOrders
from chatbot.integrations.orders_redis import SharedOrders
from chatbot.integrations.parser import SubprocessParser
from chatbot.integrations.passwords import Passwords
from chatbot.integrations.proof_of_work import ProofOfWork
from chatbot.integrations.queue import JobQueue
from chatbot.integrations.rate_limits import SharedCounts
from chatbot.integrations.redis import RedisProbe, new_client
from chatbot.integrations.reranker import Reranker
from chatbot.integrations.security_hook import SecurityHook
from chatbot.integrations.session import new_session
from chatbot.integrations.tokens import TokenSigner
from chatbot.stages.admit import Places
from chatbot.stages.ports import Alarm, Clocks, Counting, Detector, Embedder, Hook, Outside, Provider, Watch
from chatbot.stages.together import Together
from chatbot.store.db import Database

# One failure is enough: each further one would make a question wait. No metric shows this breaker.
CACHE_LIMITS = Limits(in_a_row=1, probes=1, open_for=timedelta(seconds=2))
# A silent embedding service takes seconds of each question that asks it; answers find their passages by words meanwhile.
EMBEDDING_LIMITS = Limits(in_a_row=2, probes=1, open_for=timedelta(seconds=5))
CLOCKS = Clocks(monotonic=time.monotonic, wall=time.time)
# Failed attempts written into the audit log; the metric counts all of them.
AUDITED_FAILURES_PER_SECOND = 10
AUDITED_FAILURES_AT_ONCE = 50
# Violations of isolation that are kept and told; the metric and the log have all of them.
KEPT_VIOLATIONS_PER_SECOND = 10
KEPT_VIOLATIONS_AT_ONCE = 50
ALARM_WAIT_SECONDS = 1.0


@asynccontextmanager
async def outside(
    settings: Settings,
    *,
    clocks: Clocks = CLOCKS,
    application: str = "chatbot serve",
    tracer: Tracer | None = None,
) -> AsyncGenerator[Outside]:
    """Everything a stage is handed, opened, and closed at the end. The database is not verified yet."""
    stamina.instrumentation.set_on_retry_hooks(())  # retries are counted by the stage that makes them
    # A client for each purpose: a cancelled request of one kind must not disturb the connections of the other.
    clients = [new_client(settings.redis_url) for _ in range(5)]
    for_probe, for_jobs, for_answers, for_orders, for_failures = clients
    counts = SharedCounts(settings.redis_url)
    try:
        async with (
            new_session() as session,
            Database(settings.database_url, size=settings.pool_size, application=application) as db,
            _alarm_database(settings.database_url) as alarm_db,
            _embedder(settings, session) as embedder,
            _traced(settings.traces_url) as exported,
        ):
            flags = Flags()
            yield Outside(
                database=db,
                providers=_providers(settings, session),
                reranker=Reranker(session, settings.rerank_url),
                flags=flags,
                orders=StandingOrders(flags, settings.flags_file),
                shared_orders=SharedOrders(for_orders),
                trusted_proxies=settings.trusted_proxies,
                allowed_hosts=settings.allowed_hosts,
                offenders=Offenders(),
                failures=SharedFailures(for_failures),
                local_failures=LocalFailures(),
                proof_of_work=ProofOfWork(settings.signing_keys[0].encode()),
                counting=Counting(settings.limits, counts),
                places=Places(
                    places=settings.answers_at_once,
                    waiting=settings.answers_waiting,
                    longest=settings.answers_wait_seconds,
                ),
                redis=RedisProbe(for_probe),
                jobs=JobQueue(for_jobs),
                embedder=embedder,
                parser=SubprocessParser(),
                fetcher=SafeFetcher(settings.fetch_allowed),
                fetch_allowed=settings.fetch_allowed,
                clocks=clocks,
                failure_audit=Throttle(
                    per_second=AUDITED_FAILURES_PER_SECOND, burst=AUDITED_FAILURES_AT_ONCE
                ),
                alarm=Alarm(
                    database=alarm_db,
                    hook=_hook(settings, session),
                    throttle=Throttle(per_second=KEPT_VIOLATIONS_PER_SECOND, burst=KEPT_VIOLATIONS_AT_ONCE),
                ),
                cache=AnswerCache(for_answers),
                cache_breaker=Breaker("cache", CACHE_LIMITS),
                embedding_breaker=Breaker("embedding", EMBEDDING_LIMITS),
                cache_lasts=timedelta(seconds=settings.cache_seconds),
                together=Together(),
                tracer=tracer or exported,
                settings=InForce(_answer_settings(settings)),
                known=KnownCallers(),
                passwords=Passwords(),
                tokens=TokenSigner(settings.signing_keys),
            )
    finally:
        for client in clients:
            await client.aclose()
        await counts.aclose()


@asynccontextmanager
async def detector(url: str) -> AsyncGenerator[Detector]:
    """For a command that gives out rows. A server or worker counts what it withheld, and tells the responder."""
    throttle = Throttle(per_second=KEPT_VIOLATIONS_PER_SECOND, burst=KEPT_VIOLATIONS_AT_ONCE)
    async with _alarm_database(url) as db:
        yield Watch(alarm=Alarm(database=db, hook=None, throttle=throttle, scraped=False), clocks=CLOCKS)


def _alarm_database(url: str) -> Database:
    """Its own: when every other connection is taken, a violation is still written."""
    return Database(url, size=1, application="chatbot alarm", wait_seconds=ALARM_WAIT_SECONDS, checked=False)


@asynccontextmanager
async def _traced(endpoint: str | None) -> AsyncGenerator[Tracer]:
    """Where spans go; without an endpoint they are made of nothing."""
    if endpoint is None:
        yield NoOpTracer()
        return
    # By name, because the SDK costs time and memory that a server without an endpoint should not carry.
    provider = import_module("chatbot.integrations.tracing").new_provider(endpoint)
    try:
        yield provider.get_tracer("chatbot")
    finally:
        await asyncio.to_thread(provider.shutdown)


def _answer_settings(settings: Settings) -> AnswerSettings:
    return AnswerSettings(
        similarity_top_k=settings.top_k,
        max_tokens=settings.max_tokens,
        providers=tuple(each.name for each in settings.providers),
        models={each.name: each.model for each in settings.providers},
    )


def _hook(settings: Settings, session: aiohttp.ClientSession) -> Hook | None:
    webhook = settings.security_webhook
    return SecurityHook(session, url=webhook.url, key=webhook.key) if webhook else None


@asynccontextmanager
async def _embedder(settings: Settings, session: aiohttp.ClientSession) -> AsyncGenerator[Embedder]:
    if there := settings.embeddings:
        endpoint = EmbeddingEndpoint(base_url=there.base_url, api_key=there.api_key, model=there.model)
        yield RemoteEmbedder(session, endpoint)
        return
    local = LocalEmbedder()
    try:
        yield local
    finally:
        local.close()


def _providers(settings: Settings, session: aiohttp.ClientSession) -> tuple[Provider, ...]:
    return tuple(
        Provider(
            model=ChatModel(
                session,
                Endpoint(name=each.name, base_url=each.base_url, api_key=each.api_key),
            ),
            breakers=Breakers(each.name, each.model),
        )
        for each in settings.providers
    )
