"""Question and answer → conversation. Those that begin one at the same moment are kept in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import structlog

from chatbot.core.caller import Caller
from chatbot.core.quotas import day_of
from chatbot.errors import StoreUnavailable
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import owner_of
from chatbot.store import usage
from chatbot.store.conversations import Begun, Exchange, add_exchange, begin_conversations

log = structlog.get_logger()


async def remember(
    outside: Outside,
    caller: Caller,
    conversation_id: UUID | None,
    exchange: Exchange,
    *,
    counted: bool = True,
) -> UUID | None:
    """The conversation that now holds the exchange; None when it could not be kept. The answer stands either way.

    `counted` says whether the request has been counted in the tenant's day; else it is, with the exchange.
    """
    try:
        if conversation_id is None:
            return await _begin(outside, caller, exchange, counted=counted)
        async with outside.database.tenant(caller.tenant.tenant_id) as conn:
            await add_exchange(conn, caller.tenant.tenant_id, conversation_id, exchange)
    except StoreUnavailable as error:
        log.error("exchange_not_kept", error=str(error))
        return None
    return conversation_id


async def _begin(outside: Outside, caller: Caller, exchange: Exchange, *, counted: bool) -> UUID:
    tenant_id = caller.tenant.tenant_id
    day = day_of(outside.clocks.wall())

    async def keep(begun: Sequence[Begun]) -> Sequence[UUID]:
        async with outside.database.tenant(tenant_id) as conn:
            await begin_conversations(conn, tenant_id, begun)
            if requests := sum(not each.counted for each in begun):
                await usage.count_requests(conn, tenant_id, day=day, requests=requests)
        return [each.conversation_id for each in begun]

    mine = Begun(conversation_id=uuid4(), owner=owner_of(caller), exchange=exchange, counted=counted)
    return await outside.together.run(("begin", tenant_id, day), mine, keep)
