"""Question and answer → conversation."""

from __future__ import annotations

from uuid import UUID

import structlog

from chatbot.core.caller import Caller
from chatbot.errors import StoreUnavailable
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import owner_of
from chatbot.store.conversations import Exchange, add_exchange, begin_conversation

log = structlog.get_logger()


async def remember(
    outside: Outside, caller: Caller, conversation_id: UUID | None, exchange: Exchange
) -> UUID | None:
    """The conversation that now holds the exchange; None when it could not be kept. The answer stands either way."""
    tenant_id = caller.tenant.tenant_id
    try:
        async with outside.database.tenant(tenant_id) as conn:
            kept_in = conversation_id or await begin_conversation(conn, tenant_id, owner=owner_of(caller))
            await add_exchange(conn, tenant_id, kept_in, exchange)
    except StoreUnavailable as error:
        log.error("exchange_not_kept", error=str(error))
        return None
    return kept_in
