"""What a question asks of the database before it is known what it means, in one way there and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from chatbot.core.tenancy import TenantId
from chatbot.store.db import Database
from chatbot.store.passages import with_words
from chatbot.store.usage import reserving


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Whether the day's budget had room, and the passages with words of the question, best first."""

    reserved: bool
    worded: tuple[UUID, ...]


async def begin_question(
    database: Database, tenant_id: TenantId, wanted: str, *, limit: int, day: date, tokens: int
) -> Begun:
    """Counts a request, sets its tokens aside, and looks for passages with the words of what is wanted.

    Counted as `reserve` does. Raises StoreUnavailable.
    """
    (row,), worded = await database.at_once(
        tenant_id, reserving(tenant_id, day=day, tokens=tokens), with_words(wanted, limit=limit)
    )
    return Begun(reserved=row["reserved"], worded=tuple(row["id"] for row in worded))
