"""Caller and conversation → what an answer starts from: settings in force, documents, what was said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chatbot.core.answer_settings import AnswerSettings
from chatbot.core.cached import stamp_of
from chatbot.core.caller import Caller
from chatbot.core.flags import RERANK
from chatbot.core.history import Turn, within
from chatbot.core.quotas import day_of
from chatbot.core.violation import Source
from chatbot.stages.ports import Outside
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.answer_settings import Basis, basis_of
from chatbot.store.conversations import owner_of_conversation, turns_of
from chatbot.store.corpora import Corpus
from chatbot.store.passages import Ids
from chatbot.store.questions import begin_question


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an answer starts from. `spent` says that the tenant's requests of the day are used up."""

    settings: AnswerSettings
    corpus: Corpus
    rerank: bool
    spent: bool

    @property
    def stamp(self) -> str:
        """What an answer that is kept is told from one that would be made now by."""
        return stamp_of(revision=self.corpus.revision, settings=self.settings, rerank=self.rerank)


async def start_of(outside: Outside, caller: Caller) -> Start:
    """Raises StoreUnavailable."""
    tenant_id = caller.tenant.tenant_id
    day = day_of(outside.clocks.wall())

    # Every question of a tenant asks the same: those that come at once ask together.
    async def read(asked: Sequence[None]) -> Sequence[Basis]:
        return [await basis_of(outside.database, tenant_id, day=day)] * len(asked)

    return _start(outside, await outside.together.run(("basis", tenant_id, day), None, read))


async def start_with_words(outside: Outside, caller: Caller, wanted: str) -> tuple[Start, Ids]:
    """Also the passages with words of what is wanted, best first. Raises StoreUnavailable."""
    day = day_of(outside.clocks.wall())
    begun = await begin_question(outside.database, caller.tenant.tenant_id, wanted, day=day)
    return _start(outside, begun.basis), begun.worded


async def recollect(outside: Outside, caller: Caller, conversation_id: UUID) -> tuple[Turn, ...]:
    """What was said before. Raises NotFound for a conversation of somebody else, TenantIsolationViolation, StoreUnavailable."""
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        kept_by = await owner_of_conversation(conn, tenant_id, conversation_id, owner=owner_of(caller))
        recalled = await turns_of(conn, tenant_id, conversation_id)
    await withhold_foreign(outside, caller, [kept_by], source=Source.CONVERSATION)
    await withhold_foreign(outside, caller, recalled.owners, source=Source.CONVERSATION)
    return within(recalled.turns)


def _start(outside: Outside, basis: Basis) -> Start:
    return Start(
        settings=outside.settings.settings(basis.layer),
        corpus=basis.corpus,
        rerank=outside.flags.enabled(RERANK),
        spent=basis.spent,
    )


def owner_of(caller: Caller) -> str:
    """Whose a conversation is: a visitor's session, a member, a key. Nobody else of the tenant may read it."""
    if caller.member_id is not None:
        return f"member {caller.member_id}"
    if caller.session_id is not None:
        return f"session {caller.session_id}"
    return caller.actor
