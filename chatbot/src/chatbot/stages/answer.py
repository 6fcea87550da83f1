"""question → answer: passages of the tenant, ordered, then a model's words or, without a model, the passages' own."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

import structlog

from chatbot.core.breaker import Breaker, Outcome, State
from chatbot.core.passage import NOTHING_FOUND, Passage, TenantId, extract, prompt
from chatbot.errors import ProviderFailed, RerankFailed
from chatbot.integrations.llm import Ask, RequestRefused
from chatbot.stages.ports import Parts, Speaker
from chatbot.store import audit, documents
from chatbot.telemetry import (
    BREAKER_FAILURES,
    BREAKER_STATE,
    ISOLATION_VIOLATIONS,
    LLM_SECONDS,
    VECTOR_SECONDS,
)

log = structlog.get_logger()

TOP_K = 4
MAX_TOKENS = 400


class By(StrEnum):
    """Who speaks: a provider's name is used as it is; these are the answers that no model gave."""

    PASSAGES = "passages"
    NOBODY = "not_in_documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A piece of an answer, and by whom. `restart` says that what came before must be thrown away."""

    text: str
    by: str
    restart: bool = False


async def find(parts: Parts, tenant_id: TenantId, question: str) -> list[Passage]:
    """The passages for a question. No connection is held when this returns. Raises StoreUnavailable, RerankFailed."""
    began = time.monotonic()
    async with parts.database.as_tenant(tenant_id) as conn:
        found = await documents.search(conn, tenant_id, question, limit=TOP_K)
    VECTOR_SECONDS.observe(time.monotonic() - began)
    own = await _only_own(parts, tenant_id, found)
    if own and parts.reranker and parts.flags.get_boolean_value("rerank", False):
        try:
            return await parts.reranker.order(question, own)
        except RerankFailed as error:
            log.error("rerank_failed", reason=str(error), route="/api/chat", tenant_id=str(tenant_id))
            raise
    return own


async def _only_own(parts: Parts, tenant_id: TenantId, found: Sequence[Passage]) -> list[Passage]:
    """Row-level security is silent: this is where a hole in it would be heard."""
    foreign = [passage for passage in found if passage.tenant_id != tenant_id]
    if foreign:
        ISOLATION_VIOLATIONS.labels(tenant_id=str(tenant_id), source="retrieval").inc()
        log.error(
            "tenant_isolation_violation", tenant_id=str(tenant_id), source="retrieval", passages=len(foreign)
        )
        async with parts.database.transaction() as conn:
            await audit.write(
                conn,
                "tenant_isolation_violation",
                actor="chatbot",
                tenant_id=tenant_id,
                detail={"source": "retrieval", "passages": [str(passage.id) for passage in foreign]},
            )
        return []
    return list(found)


async def speak(parts: Parts, question: str, passages: Sequence[Passage]) -> AsyncGenerator[Said]:
    """The answer in pieces: the first model that works, else the passages themselves."""
    if not passages:
        yield Said(text=NOTHING_FOUND, by=By.NOBODY)
        return
    ask = Ask(messages=prompt(question, passages), max_tokens=MAX_TOKENS)
    spoken = restart = False
    for model in parts.models:
        try:
            async with aclosing(_guarded(parts.breakers[model.name], model, ask)) as tokens:
                async for token in tokens:
                    yield Said(text=token, by=model.name, restart=restart)
                    spoken, restart = True, False
        except ProviderFailed as error:
            log.warning("provider_failed", provider=model.name, reason=str(error), after_first_token=spoken)
            restart = spoken
        else:
            return
    yield Said(text=extract(question, passages), by=By.PASSAGES, restart=spoken)


async def _guarded(breaker: Breaker, model: Speaker, ask: Ask) -> AsyncGenerator[str]:
    """A model behind its breaker. A reader that goes away is no failure of the provider."""
    began = time.monotonic()
    permit = breaker.ask(began)
    show(model.name, breaker)
    if permit is None:
        raise ProviderFailed(f"the breaker of {model.name} is open")
    outcome = Outcome.IGNORED
    try:
        async with aclosing(model.stream(ask)) as tokens:
            async for token in tokens:
                yield token
        outcome = Outcome.SUCCESS
    except RequestRefused:
        raise
    except ProviderFailed:
        outcome = Outcome.FAILURE
        BREAKER_FAILURES.labels(breaker=model.name).inc()
        raise
    finally:
        breaker.tell(permit, outcome, time.monotonic())
        show(model.name, breaker)
        LLM_SECONDS.labels(provider=model.name).observe(time.monotonic() - began)


def show(name: str, breaker: Breaker) -> None:
    """Puts the breaker's state into the metrics."""
    for state in State:
        BREAKER_STATE.labels(breaker=name, state=state).set(breaker.state is state)
