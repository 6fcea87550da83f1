"""Question → passages of the tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from chatbot.core.breaker import Outcome
from chatbot.core.caller import Caller
from chatbot.core.passages import Passage, Vector, is_evidence
from chatbot.core.violation import Source
from chatbot.errors import ChatbotError
from chatbot.stages.beside import side_by_side
from chatbot.stages.ports import Outside
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.corpora import Corpus
from chatbot.store.passages import Search, best_passages, passages_with_words
from chatbot.telemetry import EMBED_SECONDS, SEARCH_SECONDS

log = structlog.get_logger()

# A person waits: without a vector by then, the words have to do. A document has more time.
PATIENCE = timedelta(seconds=3)


async def retrieve(
    outside: Outside, caller: Caller, question: str, *, corpus: Corpus, limit: int
) -> tuple[Passage, ...]:
    """The passages that are evidence, best first. No connection is held while the question is embedded.

    Raises TenantIsolationViolation, StoreUnavailable.
    """
    vector, worded = await side_by_side(
        vector_of(outside, question),
        passages_with_words(outside.database, caller.tenant.tenant_id, question),
    )
    search = Search(
        vector=vector,
        worded=worded,
        telling=outside.embedder.telling(question),
        model=outside.embedder.name,
        corpus=corpus,
        limit=limit,
    )
    with SEARCH_SECONDS.time():
        found = await best_passages(outside.database, caller.tenant.tenant_id, search)
    return await evidence_in(outside, caller, found)


async def evidence_in(outside: Outside, caller: Caller, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Those of the passages that are evidence. Raises TenantIsolationViolation."""
    await withhold_foreign(
        outside, caller, [passage.tenant_id for passage in passages], source=Source.RETRIEVAL
    )
    return tuple(passage for passage in passages if is_evidence(passage))


async def vector_of(outside: Outside, question: str) -> Vector | None:
    """The question's vector; None where the embedding service is out of order, or was lately: words are searched for still."""
    breaker, clock = outside.embedding_breaker, outside.clocks.monotonic
    permit = breaker.admit(clock())
    if permit is None:
        return None
    outcome = Outcome.IGNORED
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            with EMBED_SECONDS.time():
                vectors = await outside.embedder.embed([question])
        outcome = Outcome.SUCCESS
        return vectors[0]
    except (TimeoutError, ChatbotError) as error:
        outcome = Outcome.FAILURE
        silent = f"No vector within {PATIENCE.total_seconds():g} s."
        log.error("question_not_embedded", error=silent if isinstance(error, TimeoutError) else str(error))
        return None
    finally:
        breaker.record(permit, outcome, clock())
