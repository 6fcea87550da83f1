"""Caller and conversation → what an answer starts from: the settings in force for the tenant. One short transaction."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from chatbot.core.answer_settings import AnswerSettings
from chatbot.core.caller import Caller
from chatbot.core.tenancy import TenantId
from chatbot.core.violation import Source
from chatbot.stages.ports import Outside
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.answer_settings import load_tenant
from chatbot.store.conversations import owner_of_conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an answer starts from."""

    settings: AnswerSettings


async def recollect(outside: Outside, caller: Caller, conversation_id: UUID | None) -> Start:
    """Raises NotFound for a conversation of somebody else, TenantIsolationViolation, StoreUnavailable."""
    tenant_id = caller.tenant.tenant_id
    kept_by: list[TenantId] = []
    async with outside.database.tenant(tenant_id) as conn:
        if conversation_id is not None:
            kept_by.append(await owner_of_conversation(conn, tenant_id, conversation_id))
        layer = await load_tenant(conn, tenant_id)
    await withhold_foreign(outside, caller, kept_by, source=Source.CONVERSATION)
    return Start(settings=outside.settings.settings(layer))
