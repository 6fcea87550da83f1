"""Question → passages of the tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from chatbot.core.breaker import Outcome
from chatbot.core.caller import Caller
from chatbot.core.passages import Passage, Vector, is_evidence
from chatbot.core.violation import Source
from chatbot.errors import ChatbotError
from chatbot.stages.beside import side_by_side
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import Start, start_with_words
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.passages import Ids, Search, best_passages
from chatbot.telemetry import EMBED_SECONDS, SEARCH_SECONDS

log = structlog.get_logger()

# A person waits: without a vector by then, the words have to do. A document has more time.
PATIENCE = timedelta(seconds=3)


async def retrieve(outside: Outside, caller: Caller, question: str, *, limit: int) -> tuple[Passage, ...]:
    """The passages that are evidence, best first, as they are found for an answer; nothing is counted.

    Raises TenantIsolationViolation, StoreUnavailable.
    """
    _, search = await look_up(outside, caller, question)
    with SEARCH_SECONDS.time():
        found = await best_passages(outside.database, caller.tenant.tenant_id, replace(search, limit=limit))
    return await evidence_in(outside, caller, found)


async def look_up(outside: Outside, caller: Caller, wanted: str) -> tuple[Start, Search]:
    """What an answer starts from and what is searched for: the database is asked for its words while it is embedded.

    No connection is held for the embedding. Raises StoreUnavailable.
    """

    async def in_words() -> tuple[Start, Ids, Sequence[str]]:
        start, worded = await start_with_words(outside, caller, wanted)
        return start, worded, outside.embedder.telling(wanted)

    (start, worded, telling), vector = await side_by_side(in_words(), vector_of(outside, wanted))
    search = Search(
        vector=vector,
        worded=worded,
        telling=telling,
        model=outside.embedder.name,
        corpus=start.corpus,
        limit=start.settings.similarity_top_k,
    )
    return start, search


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
