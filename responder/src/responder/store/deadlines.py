"""The process clock of an incident, a row for each milestone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import DictRow

from responder.core.incident import IncidentId
from responder.core.process import Deadline, Milestone
from responder.store.db import Conn, insert_many, one, value
from responder.store.due import Queue

QUEUE = Queue(table="deadlines", lease=timedelta(seconds=30))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDeadline:
    """`met_at` and `missed_at` may both be set: late is better than never, and is kept as late."""

    incident_id: IncidentId
    milestone: Milestone
    limit: timedelta
    deadline: datetime
    met_at: datetime | None
    missed_at: datetime | None


async def put(conn: Conn, incident_id: IncidentId, deadlines: Sequence[Deadline]) -> None:
    await insert_many(
        conn,
        """
        INSERT INTO deadlines (incident_id, milestone, limit_seconds, deadline, due_at) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (incident_id, milestone) DO NOTHING
        """,
        [
            (incident_id, each.milestone, int(each.limit.total_seconds()), each.due_at, each.due_at)
            for each in deadlines
        ],
    )


async def get(conn: Conn, deadline_id: int) -> StoredDeadline:
    cursor = await conn.execute("SELECT * FROM deadlines WHERE id = %s", (deadline_id,))
    return _deadline(one(await cursor.fetchone()))


async def of_incident(conn: Conn, incident_id: IncidentId) -> list[StoredDeadline]:
    cursor = await conn.execute(
        "SELECT * FROM deadlines WHERE incident_id = %s ORDER BY deadline, id", (incident_id,)
    )
    return [_deadline(row) for row in await cursor.fetchall()]


async def meet(
    conn: Conn, incident_id: IncidentId, milestones: frozenset[Milestone], *, now: datetime
) -> None:
    """Stops the clock of the milestones that are behind the incident."""
    await conn.execute(
        """
        UPDATE deadlines SET met_at = %s, due_at = NULL, lease_until = NULL
        WHERE incident_id = %s AND milestone = ANY(%s) AND met_at IS NULL
        """,
        (now, incident_id, [str(milestone) for milestone in milestones]),
    )


async def miss(conn: Conn, deadline_id: int, *, now: datetime) -> None:
    await conn.execute("UPDATE deadlines SET missed_at = %s WHERE id = %s", (now, deadline_id))


def _deadline(row: DictRow) -> StoredDeadline:
    return value(
        StoredDeadline,
        row,
        milestone=Milestone(row["milestone"]),
        limit=timedelta(seconds=row["limit_seconds"]),
    )
