"""The flow of a question. `prepare` is everything that can still be refused; `stream` always ends in an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from chatbot.core.answer_settings import AnswerSettings
from chatbot.core.answers import NOT_IN_DOCUMENTS, Done, Kind, Part, Sources, Token
from chatbot.core.caller import Caller
from chatbot.core.passages import Passage
from chatbot.stages.generate import Ending, generate
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import recollect
from chatbot.stages.remember import remember
from chatbot.stages.rerank import rerank
from chatbot.stages.retrieve import retrieve
from chatbot.telemetry import ANSWERS, RAG_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question with all that its answer needs."""

    caller: Caller
    text: str
    conversation_id: UUID | None
    settings: AnswerSettings
    passages: tuple[Passage, ...]
    asked_at: float


async def prepare(outside: Outside, caller: Caller, text: str, *, conversation_id: UUID | None) -> Question:
    """Finds and orders the passages. Raises before anything is answered: NotFound, RerankFailed, StoreUnavailable."""
    asked_at = outside.clocks.monotonic()
    start = await recollect(outside, caller, conversation_id)
    found = await retrieve(outside, caller, text, limit=start.settings.similarity_top_k)
    return Question(
        caller=caller,
        text=text,
        conversation_id=conversation_id,
        settings=start.settings,
        passages=await rerank(outside, text, found),
        asked_at=asked_at,
    )


async def stream(outside: Outside, question: Question) -> AsyncGenerator[Part]:
    """Sources, tokens, done. No database connection is held while tokens flow."""
    answer: list[str] = []
    ending: Ending | None = None
    try:
        yield Sources(passages=question.passages)
        async with aclosing(_text(outside, question)) as parts:
            async for part in parts:
                if isinstance(part, Ending):
                    ending = part
                    continue
                if isinstance(part, Token):
                    answer.append(part.text)
                yield part
    finally:
        ANSWERS.labels(kind=ending.kind if ending else "cancelled").inc()
        RAG_SECONDS.observe(outside.clocks.monotonic() - question.asked_at)
    if ending is None:
        raise RuntimeError("the text ended without saying how")
    conversation_id = await remember(
        outside,
        question.caller,
        question.conversation_id,
        question=question.text,
        answer="".join(answer),
        kind=ending.kind,
        passages=question.passages,
    )
    yield Done(kind=ending.kind, provider=ending.provider, conversation_id=conversation_id)


async def _text(outside: Outside, question: Question) -> AsyncGenerator[Part | Ending]:
    if not question.passages:
        # The gate: a model that is given nothing to quote would answer from memory.
        yield Token(text=NOT_IN_DOCUMENTS)
        yield Ending(kind=Kind.NOT_IN_DOCUMENTS, provider=None)
        return
    async with aclosing(
        generate(outside, question.text, question.passages, settings=question.settings)
    ) as parts:
        async for part in parts:
            yield part
