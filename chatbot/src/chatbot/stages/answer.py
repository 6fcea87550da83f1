"""The flow of a question. `prepare` is everything that can still be refused; `stream` always ends in an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

import structlog

from chatbot.core.answers import NOT_IN_DOCUMENTS, Done, Kind, Part, Sources, Token, Usage, shown
from chatbot.core.caller import Caller
from chatbot.core.citations import Citations
from chatbot.core.history import searched_for, tokens_of
from chatbot.core.passages import Passage
from chatbot.core.quotas import Reservation
from chatbot.errors import StoreUnavailable
from chatbot.stages.generate import Ask, Ending, Spent, generate
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import Start, recollect
from chatbot.stages.remember import remember
from chatbot.stages.rerank import rerank
from chatbot.stages.retrieve import retrieve
from chatbot.stages.spend import charge, reserve
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
    reservation: Reservation
    asked_at: float


async def prepare(outside: Outside, caller: Caller, text: str, *, conversation_id: UUID | None) -> Question:
    """Finds and orders the passages, and sets the tokens aside.

    Raises before anything is answered: NotFound, RerankFailed, BudgetSpent, StoreUnavailable.
    """
    asked_at = outside.clocks.monotonic()
    start = await recollect(outside, caller, conversation_id)
    found = await retrieve(
        outside, caller, searched_for(text, start.turns), limit=start.settings.similarity_top_k
    )
    passages = await rerank(outside, text, found)
    return Question(
        caller=caller,
        text=text,
        conversation_id=conversation_id,
        start=start,
        passages=passages,
        reservation=await reserve(outside, caller, tokens=_most(start, text, passages)),
        asked_at=asked_at,
    )


async def stream(outside: Outside, question: Question) -> AsyncGenerator[Part]:
    """Sources, tokens, done. No database connection is held while tokens flow.

    What was given out is what is kept, byte for byte: citations are checked before both.
    """
    answer: list[str] = []
    ending: Ending | None = None
    spent = Spent()
    citations = Citations(sources=len(question.passages))
    try:
        yield Sources(shown=shown(question.passages))
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
    yield Done(
        kind=ending.kind,
        provider=ending.provider,
        model=ending.model,
        usage=spent.usage,
        cached=False,
        conversation_id=await remember(outside, question.caller, question.conversation_id, exchange),
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
    )
    async with aclosing(generate(outside, ask, spent)) as parts:
        async for part in parts:
            yield part


def _most(start: Start, text: str, passages: tuple[Passage, ...]) -> int:
    """The most tokens that the answer may cost; 0 where no model is asked."""
    if not passages or not start.settings.providers:
        return 0
    said = sum(tokens_of(turn.question) + tokens_of(turn.answer) for turn in start.turns)
    quoted = sum(tokens_of(passage.text) + tokens_of(passage.heading) for passage in passages)
    return said + quoted + tokens_of(text) + start.settings.max_tokens


async def _settle(outside: Outside, reservation: Reservation, used: Usage) -> None:
    try:
        await charge(outside, reservation, tokens=used.prompt_tokens + used.completion_tokens)
    except StoreUnavailable as error:
        log.error("usage_not_charged", error=str(error), day=str(reservation.day))
