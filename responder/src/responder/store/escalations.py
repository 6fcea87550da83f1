"""The escalation of an incident: the policy stamped on it, where it stands, and when it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.types.json import Jsonb

from responder.core.escalation import EscalationPolicy, Position, policy_from_json, policy_to_json
from responder.core.incident import IncidentId
from responder.store.db import Conn, one
from responder.store.due import Queue

QUEUE = Queue(table="escalations", lease=timedelta(seconds=30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    incident_id: IncidentId
    policy: EscalationPolicy
    round: int
    step: int
    round_began: datetime


async def start(conn: Conn, incident_id: IncidentId, policy: EscalationPolicy, *, due_at: datetime) -> None:
    """Begins (or, for a reopened incident, begins anew) at the first step."""
    await conn.execute(
        """
        INSERT INTO escalations (id, policy, round, step, round_began, due_at)
        VALUES (%(id)s, %(policy)s, 0, 0, %(at)s, %(at)s)
        ON CONFLICT (id) DO UPDATE SET policy = excluded.policy, round = escalations.round + 1, step = 0,
                                       round_began = excluded.round_began, due_at = excluded.due_at
        """,
        {"id": incident_id, "policy": Jsonb(policy_to_json(policy)), "at": due_at},
    )


async def get(conn: Conn, incident_id: int) -> Escalation:
    cursor = await conn.execute("SELECT * FROM escalations WHERE id = %s", (incident_id,))
    row = one(await cursor.fetchone())
    return Escalation(
        incident_id=row["id"],
        policy=policy_from_json(row["policy"]),
        round=row["round"],
        step=row["step"],
        round_began=row["round_began"],
    )


async def hurry_first(conn: Conn, incident_id: IncidentId, *, now: datetime) -> None:
    """Pages now rather than at the end of the wait for evidence: the evidence is in."""
    await conn.execute(
        """
        UPDATE escalations SET due_at = %(now)s, round_began = %(now)s
        WHERE id = %(id)s AND round = 0 AND step = 0 AND due_at > %(now)s
        """,
        {"id": incident_id, "now": now},
    )


async def move(conn: Conn, incident_id: IncidentId, position: Position, *, round_began: datetime) -> None:
    await conn.execute(
        "UPDATE escalations SET round = %s, step = %s, round_began = %s WHERE id = %s",
        (position.round, position.step, round_began, incident_id),
    )


async def stop(conn: Conn, incident_id: IncidentId) -> None:
    await conn.execute("UPDATE escalations SET due_at = NULL WHERE id = %s", (incident_id,))
