"""Question → passages of the tenant."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from chatbot.core.breaker import Outcome
from chatbot.core.caller import Caller
from chatbot.core.passages import Passage, Vector, is_evidence
from chatbot.core.violation import Source
from chatbot.errors import ChatbotError
from chatbot.stages.ports import Outside
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.corpora import Corpus
from chatbot.store.passages import search_passages
from chatbot.telemetry import EMBED_SECONDS, SEARCH_SECONDS

log = structlog.get_logger()

# A person waits: without a vector by then, the words have to do. A document has more time.
PATIENCE = timedelta(seconds=3)


async def retrieve(
    outside: Outside, caller: Caller, question: str, *, corpus: Corpus, limit: int
) -> tuple[Passage, ...]:
    """The passages that are evidence, best first.

    No connection is held while the question is embedded, nor when this returns.

    Raises TenantIsolationViolation, StoreUnavailable.
    """
    tenant_id = caller.tenant.tenant_id
    vector = await _vector(outside, question)
    with SEARCH_SECONDS.time():
        passages = await search_passages(
            outside.database,
            tenant_id,
            question,
            vector,
            corpus=corpus,
            telling=outside.embedder.telling(question),
            model=outside.embedder.name,
            limit=limit,
        )
    await withhold_foreign(
        outside, caller, [passage.tenant_id for passage in passages], source=Source.RETRIEVAL
    )
    return tuple(passage for passage in passages if is_evidence(passage))


async def _vector(outside: Outside, question: str) -> Vector | None:
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
