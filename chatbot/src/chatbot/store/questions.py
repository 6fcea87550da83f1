"""A question's two ways to the database before it is answered: what it starts from, and what it is answered from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from chatbot.core.passages import Passage
from chatbot.core.quotas import Reservation
from chatbot.core.tenancy import TenantId
from chatbot.store.answer_settings import Basis, basis_in, basis_values
from chatbot.store.db import Database
from chatbot.store.passages import Ids, Search, passage_of, searching, words_values
from chatbot.store.usage import reserving

BEGIN = """
SELECT settings, spent, revision, passages, shelf, shelved,
       ARRAY(SELECT id FROM passages_with_words(%(question)s, %(candidates)s))::text AS worded
  FROM basis_of(%(tenant_id)s, %(day)s, %(requests)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What every answer of the tenant depends on, and the passages with words of what is wanted, best first."""

    basis: Basis
    worded: Ids


async def begin_question(database: Database, tenant_id: TenantId, wanted: str, *, day: date) -> Begun:
    """What can be known before it is known what the question means. Raises StoreUnavailable."""
    values = {**basis_values(tenant_id, day=day), **words_values(wanted)}
    ((row,),) = await database.at_once(tenant_id, (BEGIN, values))
    return Begun(worded=Ids(row.pop("worded")), basis=basis_in(row))


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
