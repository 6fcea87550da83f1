"""The flow of a question. `prepare` is everything that can still be refused; `stream` always ends in an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from opentelemetry.trace import Span, Status, StatusCode

from chatbot.core.answers import (
    NO_USAGE,
    NOT_IN_DOCUMENTS,
    Done,
    Kind,
    Part,
    Sources,
    Token,
    Usage,
    most_tokens,
    shown,
)
from chatbot.core.cached import CachedAnswer
from chatbot.core.caller import Caller
from chatbot.core.citations import Citations
from chatbot.core.history import Turn, searched_for
from chatbot.core.limits import Route
from chatbot.core.passages import Passage
from chatbot.core.quotas import Reservation
from chatbot.errors import StoreUnavailable
from chatbot.stages.beside import beside
from chatbot.stages.generate import Ask, Ending, Spent, generate
from chatbot.stages.limit import limit_everywhere, whom
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import Start, recollect
from chatbot.stages.remember import remember
from chatbot.stages.rerank import rerank
from chatbot.stages.retrieve import evidence_in, look_up
from chatbot.stages.reuse import Found, find_answer, given_before, keep_answer
from chatbot.stages.spend import charge, reserve, search_paid
from chatbot.stages.trace import CANCELLED, span, use_ending
from chatbot.store.conversations import Exchange, source_ids
from chatbot.telemetry import ANSWERS, RAG_SECONDS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question with all that its answer needs."""

    caller: Caller
    text: str
    conversation_id: UUID | None
    turns: tuple[Turn, ...]
    start: Start
    passages: tuple[Passage, ...]
    reservation: Reservation | None
    found: Found | None
    cached: CachedAnswer | None
    asked_at: float
    span: Span  # of the whole answer; `stream` ends it


async def prepare(outside: Outside, caller: Caller, text: str, *, conversation_id: UUID | None) -> Question:
    """Counts the question, finds and orders the passages, and sets the tokens aside. Call `limit_here` first.

    Raises before anything is answered: RateLimited, NotFound, RerankFailed, BudgetSpent, StoreUnavailable.
    """
    asked_at = outside.clocks.monotonic()
    whole = outside.tracer.start_span(
        "answer", attributes={"chatbot.tenant_id": str(caller.tenant.tenant_id)}
    )
    try:
        return await _prepared(outside, caller, text, conversation_id, asked_at=asked_at, whole=whole)
    except BaseException as error:
        whole.set_status(Status(StatusCode.ERROR, type(error).__name__))
        whole.end()
        raise


async def _prepared(
    outside: Outside, caller: Caller, text: str, conversation_id: UUID | None, *, asked_at: float, whole: Span
) -> Question:
    # Redis is asked meanwhile whether there is room; it is known before anything is answered or paid for.
    async with beside(limit_everywhere(outside, Route.CHAT, whom(caller))) as let_in:
        turns, found = await _before(outside, caller, text, conversation_id)
        asked = partial(
            Question,
            caller=caller,
            text=text,
            conversation_id=conversation_id,
            turns=turns,
            found=found,
            asked_at=asked_at,
            span=whole,
        )
        kept = None if found is None else await given_before(outside, caller, found)
        if kept is None:
            start, passages, reservation = await _found_for(outside, caller, text, turns, let_in, whole)
            return asked(start=start, passages=passages, reservation=reservation, cached=None)
        await let_in
        start, cached = kept
        # Counted with the exchange; only where the day's requests are used up is it refused first.
        reservation = await reserve(outside, caller, tokens=0) if start.spent else None
        return asked(start=start, passages=(), reservation=reservation, cached=cached)


async def _before(
    outside: Outside, caller: Caller, text: str, conversation_id: UUID | None
) -> tuple[tuple[Turn, ...], Found | None]:
    """What was said before; or, of a question that begins a conversation, what was answered to it before."""
    if conversation_id is None:
        return (), await find_answer(outside, caller, text)
    return await recollect(outside, caller, conversation_id), None


async def _found_for(
    outside: Outside,
    caller: Caller,
    text: str,
    turns: tuple[Turn, ...],
    let_in: Awaitable[None],
    whole: Span,
) -> tuple[Start, tuple[Passage, ...], Reservation]:
    """What the answer starts from, its passages, and the tokens set aside for it."""
    with span(outside, "retrieve", whole) as traced:
        start, search = await look_up(outside, caller, searched_for(text, turns))
        traced.set_attribute("chatbot.top_k", search.limit)
        await let_in
        found, reservation = await search_paid(outside, caller, search, tokens=_most(start, text, turns))
        async with _given_back_on_failure(outside, reservation):
            passages = await evidence_in(outside, caller, found)
        traced.set_attribute("chatbot.passages", len(passages))
    if start.rerank:
        async with _given_back_on_failure(outside, reservation):
            with span(outside, "rerank", whole, **{"chatbot.passages": len(passages)}):
                passages = await rerank(outside, text, passages)
    return start, passages, reservation


@asynccontextmanager
async def _given_back_on_failure(outside: Outside, reservation: Reservation) -> AsyncGenerator[None]:
    """What was set aside is free again where nothing is answered after all."""
    try:
        yield
    except BaseException:
        await asyncio.shield(asyncio.ensure_future(_settle(outside, reservation, NO_USAGE)))
        raise


async def abandon(outside: Outside, question: Question) -> None:
    """In place of `stream`, where nobody began to read: what was set aside is given back, and the span ends."""
    ANSWERS.labels(kind="cancelled").inc()
    question.span.set_attribute(CANCELLED, True)
    question.span.end()
    if question.reservation is not None:
        await _settle(outside, question.reservation, NO_USAGE)


async def stream(outside: Outside, question: Question) -> AsyncGenerator[Part]:
    """Sources, tokens, done. No database connection is held while tokens flow."""
    parts = _again(outside, question, question.cached) if question.cached else _anew(outside, question)
    with use_ending(question.span):
        async with aclosing(parts):
            async for part in parts:
                if isinstance(part, Done):
                    question.span.set_attribute("chatbot.kind", part.kind.value)
                    question.span.set_attribute("chatbot.cached", part.cached)
                yield part


async def _again(outside: Outside, question: Question, answer: CachedAnswer) -> AsyncGenerator[Part]:
    """An answer that was given before. It costs nothing, and is kept in a conversation like any other."""
    yield Sources(shown=answer.sources)
    yield Token(text=answer.text)
    ANSWERS.labels(kind="cached").inc()
    RAG_SECONDS.observe(outside.clocks.monotonic() - question.asked_at)
    exchange = Exchange(
        question=question.text,
        answer=answer.text,
        kind=answer.kind,
        usage=NO_USAGE,
        sources=tuple(str(source["id"]) for source in answer.sources),
    )
    yield Done(
        kind=answer.kind,
        provider=answer.provider,
        model=answer.model,
        usage=NO_USAGE,
        cached=True,
        conversation_id=await remember(
            outside, question.caller, None, exchange, reservation=question.reservation
        ),
    )


async def _anew(outside: Outside, question: Question) -> AsyncGenerator[Part]:
    """What was given out is what is kept, byte for byte: citations are checked before both."""
    answer: list[str] = []
    ending: Ending | None = None
    spent = Spent()
    citations = Citations(sources=len(question.passages))
    sources = shown(question.passages)
    try:
        yield Sources(shown=sources)
        async with aclosing(_text(outside, question, spent)) as parts:
            async for part in parts:
                for piece in _cited(citations, part):
                    if isinstance(piece, Token):
                        answer.append(piece.text)
                    yield piece
                if isinstance(part, Ending):
                    ending = part
    finally:
        ANSWERS.labels(kind=ending.kind if ending else "cancelled").inc()
        RAG_SECONDS.observe(outside.clocks.monotonic() - question.asked_at)
        if ending is None and question.reservation is not None:
            await asyncio.shield(_settle(outside, question.reservation, spent.usage))
    if ending is None:
        raise RuntimeError("the text ended without saying how")
    exchange = Exchange(
        question=question.text,
        answer="".join(answer),
        kind=ending.kind,
        usage=spent.usage,
        sources=source_ids(question.passages),
    )
    # Whoever leaves now has been answered: it is kept, and what it cost is counted.
    conversation_id = await asyncio.shield(_kept(outside, question, exchange, ending, sources))
    yield Done(
        kind=ending.kind,
        provider=ending.provider,
        model=ending.model,
        usage=spent.usage,
        cached=False,
        conversation_id=conversation_id,
    )


async def _kept(
    outside: Outside,
    question: Question,
    exchange: Exchange,
    ending: Ending,
    sources: tuple[Mapping[str, Any], ...],
) -> UUID | None:
    """The conversation that holds the exchange."""
    remembering = remember(
        outside, question.caller, question.conversation_id, exchange, reservation=question.reservation
    )
    if question.found is None:
        return await remembering
    keeping = keep_answer(outside, question.found, _to_keep(question, ending, exchange, sources))
    conversation_id, _ = await asyncio.gather(remembering, keeping)
    return conversation_id


def _to_keep(
    question: Question, ending: Ending, exchange: Exchange, sources: tuple[Mapping[str, Any], ...]
) -> CachedAnswer:
    return CachedAnswer(
        tenant_id=question.caller.tenant.tenant_id,
        stamp=question.start.stamp,
        text=exchange.answer,
        kind=ending.kind,
        provider=ending.provider,
        model=ending.model,
        sources=sources,
        prompt_tokens=exchange.usage.prompt_tokens,
        completion_tokens=exchange.usage.completion_tokens,
    )


def _cited(citations: Citations, part: Part | Ending) -> list[Part]:
    """What may be shown of the part: text without citations of what the sources do not hold."""
    if isinstance(part, Token):
        text = citations.feed(part.text)
        return [Token(text=text)] if text else []
    rest = citations.end()
    held: list[Part] = [Token(text=rest)] if rest else []
    return held if isinstance(part, Ending) else [*held, part]


async def _text(outside: Outside, question: Question, spent: Spent) -> AsyncGenerator[Part | Ending]:
    if not question.passages:
        # The gate: a model that is given nothing to quote would answer from memory.
        yield Token(text=NOT_IN_DOCUMENTS)
        yield Ending(kind=Kind.NOT_IN_DOCUMENTS, provider=None)
        return
    ask = Ask(
        tenant_id=question.caller.tenant.tenant_id,
        question=question.text,
        turns=question.turns,
        passages=question.passages,
        settings=question.start.settings,
        parent=question.span,
    )
    async with aclosing(generate(outside, ask, spent)) as parts:
        async for part in parts:
            yield part


def _most(start: Start, text: str, turns: Sequence[Turn]) -> int:
    """The most tokens that the answer may cost; 0 where no model is asked."""
    settings = start.settings
    if not settings.providers:
        return 0
    return most_tokens(text, turns=turns, passages=settings.similarity_top_k, answer=settings.max_tokens)


async def _settle(outside: Outside, reservation: Reservation, used: Usage) -> None:
    try:
        await charge(outside, reservation, tokens=used.prompt_tokens + used.completion_tokens)
    except StoreUnavailable as error:
        log.error("usage_not_charged", error=str(error), day=str(reservation.day))
