"""The flow of a question. `prepare` is everything that can still be refused; `stream` always ends in an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
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
    most_tokens,
    shown,
)
from chatbot.core.cached import CachedAnswer
from chatbot.core.caller import Caller
from chatbot.core.citations import Citations
from chatbot.core.flags import RERANK
from chatbot.core.history import searched_for
from chatbot.core.limits import Route
from chatbot.core.passages import Passage
from chatbot.core.quotas import Reservation
from chatbot.errors import ChatbotError, StoreUnavailable
from chatbot.stages.beside import side_by_side
from chatbot.stages.generate import Ask, Ending, Spent, generate
from chatbot.stages.limit import limit_everywhere, whom
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import Start, recollect
from chatbot.stages.remember import remember
from chatbot.stages.rerank import rerank
from chatbot.stages.retrieve import Wanted, evidence, vector_of
from chatbot.stages.reuse import Found, find_answer, keep_answer
from chatbot.stages.spend import Begun, begin, charge, reserve
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
    start, _ = await side_by_side(
        recollect(outside, caller, conversation_id), limit_everywhere(outside, Route.CHAT, whom(caller))
    )
    passages: tuple[Passage, ...] = ()
    reservation: Reservation | None = None
    found = None if conversation_id else await find_answer(outside, caller, text, start)
    if found is not None and found.answer is not None:
        # Counted with the exchange; only where the day's requests are used up is it refused first.
        reservation = await reserve(outside, caller, tokens=0) if start.spent else None
    else:
        passages, reservation = await _found_for(outside, caller, text, start, whole)
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


async def _found_for(
    outside: Outside, caller: Caller, text: str, start: Start, whole: Span
) -> tuple[tuple[Passage, ...], Reservation]:
    """The passages, and the tokens set aside meanwhile; given back where there is nothing to be answered after all."""
    wanted, limit = searched_for(text, start.turns), start.settings.similarity_top_k
    beginning = asyncio.create_task(begin(outside, caller, wanted, limit=limit, tokens=_most(start, text)))
    try:
        with span(outside, "retrieve", whole, **{"chatbot.top_k": limit}) as traced:
            await asyncio.sleep(0)  # so that the database is at work before the embedding is asked for
            vector, telling = await side_by_side(vector_of(outside, wanted), _telling(outside, wanted))
            begun = await asyncio.shield(beginning)
            found = Wanted(vector=vector, worded=begun.worded, telling=telling)
            passages = await evidence(outside, caller, found, corpus=start.corpus, limit=limit)
            traced.set_attribute("chatbot.passages", len(passages))
        return await _in_order(outside, text, passages, whole), begun.reservation
    except BaseException:
        await asyncio.shield(asyncio.ensure_future(_give_back(outside, beginning)))
        raise


async def _telling(outside: Outside, wanted: str) -> Sequence[str]:
    """Does not wait itself: it is worked out while the embedding is waited for."""
    return outside.embedder.telling(wanted)


async def _give_back(outside: Outside, beginning: asyncio.Task[Begun]) -> None:
    with suppress(ChatbotError):
        await _settle(outside, (await beginning).reservation, NO_USAGE)


async def _in_order(
    outside: Outside, text: str, passages: tuple[Passage, ...], whole: Span
) -> tuple[Passage, ...]:
    if not outside.flags.enabled(RERANK):
        return passages
    with span(outside, "rerank", whole, **{"chatbot.passages": len(passages)}):
        return await rerank(outside, text, passages)


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


def _most(start: Start, text: str) -> int:
    """The most tokens that the answer may cost; 0 where no model is asked."""
    settings = start.settings
    if not settings.providers:
        return 0
    return most_tokens(
        text, turns=start.turns, passages=settings.similarity_top_k, answer=settings.max_tokens
    )


async def _settle(outside: Outside, reservation: Reservation, used: Usage) -> None:
    try:
        await charge(outside, reservation, tokens=used.prompt_tokens + used.completion_tokens)
    except StoreUnavailable as error:
        log.error("usage_not_charged", error=str(error), day=str(reservation.day))
