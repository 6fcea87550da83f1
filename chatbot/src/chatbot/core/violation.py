"""A violation of tenant isolation: what is known of it, without a word of anybody's content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from chatbot.core.tenancy import TenantId

EVENT = "tenant_isolation_violation"
# The receiver takes 4,000 characters of detail.
SHOWN_FOREIGN = 20
_FIRST_WAIT = timedelta(seconds=1)
_LONGEST_WAIT = timedelta(seconds=60)


class Source(StrEnum):
    """Where a foreign row was seen: each has its series of the metric from the start."""

    RETRIEVAL = "retrieval"  # a passage that a search gave
    CACHE = "cache"  # an answer that the cache gave
    JOB = "job"  # a job of the queue, or the row that it names
    CONVERSATION = "conversation"  # a conversation, or a message of its history
    EXPORT = "export"  # a row of an export
    CANARY = "canary"  # the prober found a planted secret from outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """`tenant_id` asked, `foreign` are the owners of what came back. `rows` counts what was withheld."""

    event_id: UUID
    tenant_id: TenantId
    foreign: tuple[TenantId, ...]
    rows: int
    source: Source
    actor: str
    occurred_at: datetime
    request_id: str | None = None
    path: str | None = None

    def detail(self) -> dict[str, Any]:
        """What the audit log keeps, and the responder is told: identifiers and counts."""
        facts: dict[str, Any] = {
            "event_id": str(self.event_id),
            "source": self.source,
            "foreign": [str(owner) for owner in self.foreign[:SHOWN_FOREIGN]],
            "rows": self.rows,
        }
        given = {"request_id": self.request_id, "path": self.path}
        return {**facts, **{name: value for name, value in given.items() if value is not None}}

    def message(self) -> dict[str, Any]:
        """The security event as the responder takes it. `tenant_id` there is whose data it was."""
        return {
            "id": str(self.event_id),
            "event": EVENT,
            "tenant_id": str(self.foreign[0]),
            "source": str(self.source),
            "occurred_at": self.occurred_at.isoformat(),
            "detail": {**self.detail(), "asked_by": str(self.tenant_id), "actor": self.actor},
        }


def foreign_owners(owners: Sequence[TenantId], *, wanted: TenantId) -> tuple[TenantId, ...]:
    """The owners that are not the wanted tenant, each once, in a fixed order."""
    return tuple(sorted({owner for owner in owners if owner != wanted}))


def wait_after(attempts: int) -> timedelta:
    """How long to wait after the failed try number `attempts`, from 1: 1, 2, 4 … 60 s."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(attempts - 1, 10))


def moment(wall: float) -> datetime:
    """The wall clock's seconds as a time."""
    return datetime.fromtimestamp(wall, tz=UTC)
