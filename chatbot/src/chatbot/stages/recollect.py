"""Caller and conversation → what an answer starts from: settings in force, what was said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chatbot.core.answer_settings import AnswerSettings
from chatbot.core.caller import Caller
from chatbot.core.history import Turn, within
from chatbot.core.quotas import day_of
from chatbot.core.violation import Source
from chatbot.stages.ports import Outside
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.answer_settings import Basis, basis_of
from chatbot.store.conversations import owner_of_conversation, turns_of
from chatbot.store.corpora import Corpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an answer starts from. `spent` says that the tenant's requests of the day are used up."""

    settings: AnswerSettings
    corpus: Corpus
    turns: tuple[Turn, ...]
    spent: bool


async def recollect(outside: Outside, caller: Caller, conversation_id: UUID | None) -> Start:
    """Raises NotFound for a conversation of somebody else, TenantIsolationViolation, StoreUnavailable."""
    tenant_id = caller.tenant.tenant_id
    day = day_of(outside.clocks.wall())

    # Every question of a tenant asks the same: those that come at once ask together.
    async def read(asked: Sequence[None]) -> Sequence[Basis]:
        return [await basis_of(outside.database, tenant_id, day=day)] * len(asked)

    basis = await outside.together.run(("basis", tenant_id, day), None, read)
    if conversation_id is None:
        return _start(outside, basis, ())
    async with outside.database.tenant(tenant_id) as conn:
        kept_by = await owner_of_conversation(conn, tenant_id, conversation_id, owner=owner_of(caller))
        recalled = await turns_of(conn, tenant_id, conversation_id)
    await withhold_foreign(outside, caller, [kept_by], source=Source.CONVERSATION)
    await withhold_foreign(outside, caller, recalled.owners, source=Source.CONVERSATION)
    return _start(outside, basis, recalled.turns)


def _start(outside: Outside, basis: Basis, turns: tuple[Turn, ...]) -> Start:
    return Start(
        settings=outside.settings.settings(basis.layer),
        corpus=basis.corpus,
        turns=within(turns),
        spent=basis.spent,
    )


def owner_of(caller: Caller) -> str:
    """Whose a conversation is: a visitor's session, a member, a key. Nobody else of the tenant may read it."""
    if caller.member_id is not None:
        return f"member {caller.member_id}"
    if caller.session_id is not None:
        return f"session {caller.session_id}"
    return caller.actor
