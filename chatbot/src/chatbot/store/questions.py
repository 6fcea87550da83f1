"""What a question asks of the database before it is known what it means, in one way there and back."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from chatbot.core.tenancy import TenantId
from chatbot.store.db import Database
from chatbot.store.passages import with_words
from chatbot.store.usage import reserving


async def begin_question(
    database: Database, tenant_id: TenantId, wanted: str, *, limit: int, day: date, tokens: int
) -> tuple[UUID, ...] | None:
    """Counts a request, sets its tokens aside, and gives the passages with words of what is wanted, best first.

    None when the day's budget is spent. Counted as `reserve` does. Raises StoreUnavailable.
    """
    (row,), worded = await database.at_once(
        tenant_id, reserving(tenant_id, day=day, tokens=tokens), with_words(wanted, limit=limit)
    )
    return tuple(row["id"] for row in worded) if row["reserved"] else None
