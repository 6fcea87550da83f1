"""What the responder must be told: rows that are due until it has answered with a 2xx.

The rows belong to the operators and hold identifiers only; their audit entries are written with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson
import psycopg

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.tenancy import TenantId
from chatbot.core.violation import Violation
from chatbot.errors import StoreUnavailable
from chatbot.store.audit import add_entry
from chatbot.store.db import Conn, Database

# A sender that was killed in the middle: another tries again after this time.
LEASE = timedelta(seconds=30)
BATCH = 20

CLAIM = """
UPDATE security_outbox SET due_at = %(now)s + %(lease)s, attempts = attempts + 1
 WHERE id IN (SELECT id FROM security_outbox WHERE told_at IS NULL AND due_at <= %(now)s
               ORDER BY due_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING id, body, attempts
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A message to be sent now. `body` is the same in every try."""

    event_id: UUID
    body: bytes
    attempts: int


async def keep_violation(
    db: Database, violation: Violation, *, held_back: int, told_at: datetime | None, counted: bool
) -> None:
    """The row of the outbox and the entry of the audit log, together, once. Raises StoreUnavailable.

    `held_back` is how many before it were only logged and counted; `told_at` is set when the responder knows already;
    `counted` is False where no metric that anybody reads has counted it.
    """
    try:
        async with db.tenant(violation.tenant_id) as conn:
            if await _keep(conn, violation, told_at=told_at, counted=counted):
                await add_entry(conn, _entry(violation, held_back=held_back))
    except psycopg.Error as error:
        # Whatever is wrong with the database: it is held and told, and written when the database is mended.
        raise StoreUnavailable(f"The violation cannot be written: {error}") from error


async def _keep(conn: Conn, violation: Violation, *, told_at: datetime | None, counted: bool) -> bool:
    """Whether it is new."""
    cursor = await conn.execute(
        "INSERT INTO security_outbox (id, body, due_at, told_at, counted) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (id) DO NOTHING",
        (violation.event_id, message_of(violation).decode(), violation.occurred_at, told_at, counted),
    )
    return cursor.rowcount == 1


def _entry(violation: Violation, *, held_back: int) -> AuditEntry:
    return AuditEntry(
        event=AuditEvent.TENANT_ISOLATION_VIOLATION,
        actor=violation.actor,
        tenant_id=violation.tenant_id,
        detail={**violation.detail(), "held_back_before": held_back},
    )


def message_of(violation: Violation) -> bytes:
    """The bytes that are signed and sent."""
    return orjson.dumps(violation.message())


async def take_uncounted(conn: Conn) -> list[tuple[TenantId, str]]:
    """Who asked, and the source, of each violation that no metric has counted: to one caller, once."""
    cursor = await conn.execute("UPDATE security_outbox SET counted = true WHERE NOT counted RETURNING body")
    messages = [orjson.loads(row["body"]) for row in await cursor.fetchall()]
    return [(TenantId(UUID(each["detail"]["asked_by"])), each["source"]) for each in messages]


async def claim_due(conn: Conn, now: datetime) -> list[Due]:
    """The messages that are due, leased to the caller for LEASE."""
    cursor = await conn.execute(CLAIM, {"now": now, "lease": LEASE, "batch": BATCH})
    return [
        Due(event_id=row["id"], body=row["body"].encode(), attempts=row["attempts"])
        for row in await cursor.fetchall()
    ]


async def mark_told(conn: Conn, event_id: UUID, now: datetime) -> None:
    """The responder has answered with a 2xx: never again."""
    await conn.execute("UPDATE security_outbox SET told_at = %s WHERE id = %s", (now, event_id))


async def mark_failed(conn: Conn, event_id: UUID, *, due_at: datetime, reason: str) -> None:
    """It will be tried again at `due_at`."""
    await conn.execute(
        "UPDATE security_outbox SET due_at = %s, last_error = %s WHERE id = %s",
        (due_at, reason[:300], event_id),
    )


async def count_untold(conn: Conn) -> int:
    """How many messages the responder has not confirmed."""
    row = await (
        await conn.execute("SELECT count(*) AS untold FROM security_outbox WHERE told_at IS NULL")
    ).fetchone()
    return row["untold"] if row else 0
