"""Question and answer → conversation, with what they cost. Those of a tenant that end at one moment are kept in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import structlog

from chatbot.core.caller import Caller
from chatbot.core.quotas import Reservation, day_of
from chatbot.errors import StoreUnavailable
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import owner_of
from chatbot.store.conversations import Exchange, Kept, keep_exchanges

log = structlog.get_logger()


async def remember(
    outside: Outside,
    caller: Caller,
    conversation_id: UUID | None,
    exchange: Exchange,
    *,
    reservation: Reservation | None,
) -> UUID | None:
    """The conversation that now holds the exchange; None when it could not be kept. The answer stands either way.

    The reservation is settled with it; without one, the request is counted in the tenant's day.
    """
    tenant_id = caller.tenant.tenant_id
    day = reservation.day if reservation else day_of(outside.clocks.wall())

    async def keep(kept: Sequence[Kept]) -> Sequence[UUID | None]:
        there = await keep_exchanges(outside.database, tenant_id, kept, day=day)
        return [each.conversation_id if each.conversation_id in there else None for each in kept]

    used = exchange.usage.prompt_tokens + exchange.usage.completion_tokens
    mine = Kept(
        conversation_id=conversation_id or uuid4(),
        owner=None if conversation_id else owner_of(caller),
        exchange=exchange,
        requests=0 if reservation else 1,
        tokens=used - reservation.tokens if reservation else used,
    )
    try:
        return await outside.together.run(("keep", tenant_id, day), mine, keep)
    except StoreUnavailable as error:
        log.error("exchange_not_kept", error=str(error), tokens_not_charged=mine.tokens)
        return None
