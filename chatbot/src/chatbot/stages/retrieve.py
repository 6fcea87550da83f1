"""Question → passages of the tenant."""

from __future__ import annotations

from uuid import UUID

from chatbot.core.passages import Passage
from chatbot.core.tenancy import TenantId
from chatbot.core.violation import Source
from chatbot.stages.authenticate import Caller
from chatbot.stages.ports import Outside
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.conversations import owner_of_conversation
from chatbot.store.documents import search_passages
from chatbot.telemetry import SEARCH_SECONDS


async def retrieve(
    outside: Outside, caller: Caller, question: str, *, conversation_id: UUID | None
) -> tuple[Passage, ...]:
    """The passages that fit, best first. The connection is given back before this returns.

    Raises NotFound for a conversation of somebody else, TenantIsolationViolation, StoreUnavailable.
    """
    tenant_id = caller.tenant.tenant_id
    kept_by: list[TenantId] = []
    async with outside.database.tenant(tenant_id) as conn:
        if conversation_id is not None:
            kept_by.append(await owner_of_conversation(conn, tenant_id, conversation_id))
        with SEARCH_SECONDS.time():
            passages = await search_passages(conn, tenant_id, question, limit=outside.top_k)
    await withhold_foreign(outside, caller, kept_by, source=Source.CONVERSATION)
    await withhold_foreign(
        outside, caller, [passage.tenant_id for passage in passages], source=Source.RETRIEVAL
    )
    return tuple(passages)
