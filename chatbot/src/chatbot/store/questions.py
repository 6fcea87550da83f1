"""A question's two ways to the database before it is answered: what it starts from, and what it is answered from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from chatbot.core.passages import Passage
from chatbot.core.quotas import Reservation
from chatbot.core.tenancy import TenantId
from chatbot.store.answer_settings import Basis, basis_in, finding_basis
from chatbot.store.db import Database
from chatbot.store.passages import Search, passage_of, searching, with_words
from chatbot.store.usage import reserving


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What every answer of the tenant depends on, and the passages with words of what is wanted, best first."""

    basis: Basis
    worded: tuple[UUID, ...]


async def begin_question(database: Database, tenant_id: TenantId, wanted: str, *, day: date) -> Begun:
    """What can be known before it is known what the question means. Raises StoreUnavailable."""
    based, worded = await database.at_once(tenant_id, finding_basis(tenant_id, day=day), with_words(wanted))
    return Begun(basis=basis_in(based), worded=tuple(row["id"] for row in worded))


async def search_and_reserve(
    database: Database, reservation: Reservation, search: Search
) -> list[Passage] | None:
    """The passages that fit best, with the request counted and the tokens set aside; both or neither.

    None when the day's budget is spent. Counted as `reserve` does. Raises StoreUnavailable.
    """
    tenant_id = reservation.tenant_id
    # The day's row last: others wait for it.
    *_, found, ((row),) = await database.at_once(
        tenant_id,
        *searching(tenant_id, search),
        reserving(tenant_id, day=reservation.day, tokens=reservation.tokens),
    )
    return [passage_of(each) for each in found] if row["reserved"] else None
