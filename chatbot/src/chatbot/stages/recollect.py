"""Caller and conversation → what an answer starts from: settings in force, what was said before. One short transaction."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from chatbot.core.answer_settings import AnswerSettings
from chatbot.core.caller import Caller
from chatbot.core.history import Turn, within
from chatbot.core.tenancy import TenantId
from chatbot.core.violation import Source
from chatbot.stages.ports import Outside
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.answer_settings import load_tenant
from chatbot.store.conversations import owner_of_conversation, turns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an answer starts from."""

    settings: AnswerSettings
    turns: tuple[Turn, ...]


async def recollect(outside: Outside, caller: Caller, conversation_id: UUID | None) -> Start:
    """Raises NotFound for a conversation of somebody else, TenantIsolationViolation, StoreUnavailable."""
    tenant_id = caller.tenant.tenant_id
    kept_by: list[TenantId] = []
    turns: tuple[Turn, ...] = ()
    async with outside.database.tenant(tenant_id) as conn:
        if conversation_id is not None:
            owner = owner_of(caller)
            kept_by.append(await owner_of_conversation(conn, tenant_id, conversation_id, owner=owner))
            turns = await turns_of(conn, tenant_id, conversation_id)
        layer = await load_tenant(conn, tenant_id)
    await withhold_foreign(outside, caller, kept_by, source=Source.CONVERSATION)
    return Start(settings=outside.settings.settings(layer), turns=within(turns))


def owner_of(caller: Caller) -> str:
    """Whose a conversation is: a visitor's session, a member, a key. Nobody else of the tenant may read it."""
    if caller.member_id is not None:
        return f"member {caller.member_id}"
    if caller.session_id is not None:
        return f"session {caller.session_id}"
    return caller.actor
