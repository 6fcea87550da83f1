"""Passages → passages in a better order, where the flag is on. This path has no fallback."""

from __future__ import annotations

import structlog

from chatbot.core.flags import RERANK
from chatbot.core.passages import Passage
from chatbot.errors import RerankFailed
from chatbot.stages.ports import Outside

log = structlog.get_logger()


async def rerank(outside: Outside, question: str, passages: tuple[Passage, ...]) -> tuple[Passage, ...]:
    """The passages in the reranker's order; those that it leaves out are left out. Raises RerankFailed."""
    if not passages or not outside.flags.enabled(RERANK):
        return passages
    try:
        order = await outside.reranker.order(question, [passage.text for passage in passages])
    except RerankFailed as error:
        log.error("rerank_failed", reason=str(error), passages=len(passages), flag=RERANK)
        raise
    return tuple(passages[index] for index in order)
