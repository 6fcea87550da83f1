"""Rows that are due: the one mechanism behind everything durable.

A noun's table carries `due_at`, `lease_until`, `attempt`, `failures` and `last_error`. A worker claims a batch with
SKIP LOCKED, which sets a lease and counts the attempt; the work's own transaction ends the claim by comparing that
number, so a worker that lost its lease cannot record over the one that took it up. A worker that dies leaves a lease
that runs out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg import sql

from responder.errors import Conflict
from responder.store.db import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A table whose rows can be due. `lease` is how long a worker may hold one before another takes it up."""

    table: LiteralString
    lease: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One row, taken. `attempt` counts every claim of the row, `failures` those since it last went well."""

    id: int
    attempt: int
    failures: int


async def claim(conn: Conn, queue: Queue, *, now: datetime, limit: int) -> list[Claim]:
    """Takes up to `limit` rows that are due and that nobody holds, the longest overdue first."""
    statement = sql.SQL(
        """
        UPDATE {table} SET lease_until = %(until)s, attempt = attempt + 1
        WHERE id IN (
            SELECT id FROM {table}
            WHERE due_at <= %(now)s AND (lease_until IS NULL OR lease_until <= %(now)s)
            ORDER BY due_at
            LIMIT %(limit)s
            FOR UPDATE SKIP LOCKED)
        RETURNING id, attempt, failures
        """
    ).format(table=sql.Identifier(queue.table))
    cursor = await conn.execute(statement, {"now": now, "until": now + queue.lease, "limit": limit})
    return [Claim(**row) for row in await cursor.fetchall()]


async def finish(conn: Conn, queue: Queue, claimed: Claim) -> None:
    """Ends the claim in the caller's transaction. Raises Conflict when the row was taken up by another worker."""
    await _settle(conn, queue, claimed, due_at=None, error=None)


async def postpone(conn: Conn, queue: Queue, claimed: Claim, *, due_at: datetime, error: str | None) -> None:
    """Gives the row back, to be due again at `due_at`. Raises Conflict as `finish` does."""
    await _settle(conn, queue, claimed, due_at=due_at, error=error)


async def _settle(
    conn: Conn, queue: Queue, claimed: Claim, *, due_at: datetime | None, error: str | None
) -> None:
    statement = sql.SQL(
        """
        UPDATE {table} SET due_at = %(due_at)s, lease_until = NULL, last_error = %(error)s::text,
            failures = CASE WHEN %(error)s::text IS NULL THEN 0 ELSE failures + 1 END
        WHERE id = %(id)s AND attempt = %(attempt)s AND lease_until IS NOT NULL
        """
    ).format(table=sql.Identifier(queue.table))
    values = {"id": claimed.id, "attempt": claimed.attempt, "due_at": due_at, "error": error}
    cursor = await conn.execute(statement, values)
    if cursor.rowcount != 1:
        raise Conflict(
            f"{queue.table} {claimed.id}: another worker has taken this row up; nothing was recorded here"
        )


async def ready(conn: Conn, queues: Sequence[Queue], *, now: datetime) -> frozenset[str]:
    """The tables that have a row to claim, in one round trip."""
    probes = [
        sql.SQL(
            "SELECT {name} AS name WHERE EXISTS (SELECT FROM {table} WHERE due_at <= %(now)s"
            " AND (lease_until IS NULL OR lease_until <= %(now)s))"
        ).format(name=sql.Literal(queue.table), table=sql.Identifier(queue.table))
        for queue in queues
    ]
    cursor = await conn.execute(sql.SQL(" UNION ALL ").join(probes), {"now": now})
    return frozenset(row["name"] for row in await cursor.fetchall())


async def next_due(conn: Conn, queue: Queue) -> datetime | None:
    """When the next row can be claimed, or None. A row under lease counts from the lease's end."""
    statement = sql.SQL(
        "SELECT min(greatest(due_at, lease_until)) AS at FROM {table} WHERE due_at IS NOT NULL"
    ).format(table=sql.Identifier(queue.table))
    row = await (await conn.execute(statement)).fetchone()
    return row["at"] if row else None
