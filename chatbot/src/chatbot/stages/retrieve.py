"""Question → passages of the tenant."""

from __future__ import annotations

from chatbot.core.caller import Caller
from chatbot.core.passages import Passage
from chatbot.core.violation import Source
from chatbot.stages.ports import Outside
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.documents import search_passages
from chatbot.telemetry import SEARCH_SECONDS


async def retrieve(outside: Outside, caller: Caller, question: str, *, limit: int) -> tuple[Passage, ...]:
    """The passages that fit, best first. The connection is given back before this returns.

    Raises TenantIsolationViolation, StoreUnavailable.
    """
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        with SEARCH_SECONDS.time():
            passages = await search_passages(conn, tenant_id, question, limit=limit)
    await withhold_foreign(
        outside, caller, [passage.tenant_id for passage in passages], source=Source.RETRIEVAL
    )
    return tuple(passages)
