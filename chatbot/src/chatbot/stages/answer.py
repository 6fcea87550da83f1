"""The flow of a question. `prepare` is everything that can still be refused; `stream` always ends in an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
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
    prompt,
    shown,
)
from chatbot.core.cached import CachedAnswer
from chatbot.core.caller import Caller
from chatbot.core.citations import Citations
from chatbot.core.flags import RERANK
from chatbot.core.history import searched_for, tokens_of
from chatbot.core.passages import Passage
from chatbot.core.quotas import Reservation
from chatbot.errors import StoreUnavailable
from chatbot.stages.generate import Ask, Ending, Spent, generate, new_mark
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import Start, recollect
from chatbot.stages.remember import remember
from chatbot.stages.rerank import rerank
from chatbot.stages.retrieve import retrieve
from chatbot.stages.reuse import Found, find_answer, keep_answer
from chatbot.stages.spend import charge, reserve
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
    start: Start
    passages: tuple[Passage, ...]
    reservation: Reservation | None
    found: Found | None
    asked_at: float
    span: Span  # of the whole answer; `stream` ends it


async def prepare(outside: Outside, caller: Caller, text: str, *, conversation_id: UUID | None) -> Question:
    """Finds and orders the passages, and sets the tokens aside.

    Raises before anything is answered: NotFound, RerankFailed, BudgetSpent, StoreUnavailable.
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
    start = await recollect(outside, caller, conversation_id)
    passages: tuple[Passage, ...] = ()
    reservation: Reservation | None = None
    found = None if conversation_id else await find_answer(outside, caller, text, start)
    if found is not None and found.answer is not None:
        # Counted with the exchange; only where the day's requests are used up is it refused first.
        reservation = await reserve(outside, caller, tokens=0) if start.spent else None
    else:
        passages = await _search(outside, caller, text, start, whole)
        reservation = await reserve(outside, caller, tokens=_most(start, text, passages))
    return Question(
        caller=caller,
        text=text,
        conversation_id=conversation_id,
        start=start,
        passages=passages,
        reservation=reservation,
        found=found,
        asked_at=asked_at,
        span=whole,
    )


async def _search(
    outside: Outside, caller: Caller, text: str, start: Start, whole: Span
) -> tuple[Passage, ...]:
    wanted, limit = searched_for(text, start.turns), start.settings.similarity_top_k
    with span(outside, "retrieve", whole, **{"chatbot.top_k": limit}) as traced:
        found = await retrieve(outside, caller, wanted, corpus=start.corpus, limit=limit)
        traced.set_attribute("chatbot.passages", len(found))
    if not outside.flags.enabled(RERANK):
        return found
    with span(outside, "rerank", whole, **{"chatbot.passages": len(found)}):
        return await rerank(outside, text, found)


async def abandon(outside: Outside, question: Question) -> None:
    """In place of `stream`, where nobody began to read: what was set aside is given back, and the span ends."""
    ANSWERS.labels(kind="cancelled").inc()
    question.span.set_attribute(CANCELLED, True)
    question.span.end()
    if question.reservation is not None:
        await _settle(outside, question.reservation, NO_USAGE)


async def stream(outside: Outside, question: Question) -> AsyncGenerator[Part]:
    """Sources, tokens, done. No database connection is held while tokens flow."""
    cached = question.found.answer if question.found else None
    parts = _again(outside, question, cached) if cached else _anew(outside, question)
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
        turns=question.start.turns,
        passages=question.passages,
        settings=question.start.settings,
        parent=question.span,
    )
    async with aclosing(generate(outside, ask, spent)) as parts:
        async for part in parts:
            yield part


def _most(start: Start, text: str, passages: tuple[Passage, ...]) -> int:
    """The most tokens that the answer may cost; 0 where no model is asked."""
    if not passages or not start.settings.providers:
        return 0
    messages = prompt(text, passages, turns=start.turns, mark=new_mark())
    return sum(tokens_of(message.content) for message in messages) + start.settings.max_tokens


async def _settle(outside: Outside, reservation: Reservation, used: Usage) -> None:
    try:
        await charge(outside, reservation, tokens=used.prompt_tokens + used.completion_tokens)
    except StoreUnavailable as error:
        log.error("usage_not_charged", error=str(error), day=str(reservation.day))
