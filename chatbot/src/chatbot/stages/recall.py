"""Conversations of a caller, shown and deleted. Somebody else's is not found, whoever's it is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from chatbot.core.caller import Caller
from chatbot.core.tenancy import TenantId
from chatbot.core.violation import Source
from chatbot.errors import NotFound
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import owner_of
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.conversations import (
    Listed,
    conversations_of,
    delete_conversations,
    messages_of,
    owner_of_conversation,
)


async def list_conversations(outside: Outside, caller: Caller) -> list[Listed]:
    """The caller's, the newest first. Raises TenantIsolationViolation, StoreUnavailable."""
    async with outside.database.tenant(caller.tenant.tenant_id) as conn:
        listed = await conversations_of(conn, caller.tenant.tenant_id, owner=owner_of(caller))
    owners = [each.tenant_id for each in listed]
    await withhold_foreign(outside, caller, owners, source=Source.CONVERSATION)
    return listed


async def read_conversation(outside: Outside, caller: Caller, conversation_id: UUID) -> list[dict[str, Any]]:
    """Its messages in their order. Raises NotFound, TenantIsolationViolation, StoreUnavailable."""
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        kept_by = await owner_of_conversation(conn, tenant_id, conversation_id, owner=owner_of(caller))
        messages = await messages_of(conn, tenant_id, conversation_id)
    owners = [TenantId(message.pop("tenant_id")) for message in messages]
    await withhold_foreign(outside, caller, [kept_by, *owners], source=Source.CONVERSATION)
    return messages


async def forget_conversations(outside: Outside, caller: Caller, conversation_id: UUID | None) -> int:
    """Deletes one, or all: how many. Raises NotFound when the one is not the caller's, StoreUnavailable."""
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        deleted = await delete_conversations(
            conn, tenant_id, owner=owner_of(caller), conversation_id=conversation_id
        )
    if conversation_id is not None and not deleted:
        raise NotFound(f"There is no conversation {conversation_id} of yours.")
    return deleted
