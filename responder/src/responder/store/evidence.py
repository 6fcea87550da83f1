"""Evidence: a row for each action of an investigation step, planned when the incident opens and filled by its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from responder.core.evidence import Evidence, Judgement, Measurement, Outcome, PlannedStep
from responder.core.incident import IncidentId
from responder.store.db import Conn, insert_many, one, value
from responder.store.due import Queue

QUEUE = Queue(table="evidence", lease=timedelta(seconds=60))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A planned step to run: the evidence row and how it is measured."""

    evidence: Evidence
    probe: Mapping[str, Any]


async def plan(conn: Conn, incident_id: IncidentId, steps: Sequence[PlannedStep], *, now: datetime) -> None:
    """Writes the steps: those that run by themselves are due at once, the others keep the reason why they do not."""
    await insert_many(
        conn,
        """
        INSERT INTO evidence (incident_id, position, key, step_number, step_title, kind, text, line, probe,
                              outcome, reason, due_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        [
            (
                incident_id,
                position,
                step.key,
                step.step_number,
                step.step_title,
                step.kind,
                step.text,
                step.line,
                Jsonb(step.probe),
                Outcome.PENDING if step.runs else Outcome.NOT_RUN,
                step.reason,
                now if step.runs else None,
            )
            for position, step in enumerate(steps)
        ],
    )


async def task(conn: Conn, evidence_id: int) -> Task:
    cursor = await conn.execute("SELECT * FROM evidence WHERE id = %s", (evidence_id,))
    row = one(await cursor.fetchone())
    return Task(evidence=_evidence(row), probe=row["probe"])


async def record(
    conn: Conn, evidence_id: int, measured: Measurement, *, started_at: datetime, ended_at: datetime
) -> None:
    await conn.execute(
        """
        UPDATE evidence SET outcome = %s, judgement = %s, verdict = %s, output = %s, data = %s,
                            started_at = %s, ended_at = %s
        WHERE id = %s
        """,
        (
            measured.outcome,
            measured.verdict.judgement,
            measured.verdict.text,
            measured.output,
            Jsonb(measured.data),
            started_at,
            ended_at,
            evidence_id,
        ),
    )


async def of_incident(conn: Conn, incident_id: IncidentId) -> list[Evidence]:
    cursor = await conn.execute(
        "SELECT * FROM evidence WHERE incident_id = %s ORDER BY position", (incident_id,)
    )
    return [_evidence(row) for row in await cursor.fetchall()]


async def tasks_of_incident(conn: Conn, incident_id: IncidentId) -> list[Task]:
    """The steps that run by themselves, to be measured again."""
    cursor = await conn.execute(
        "SELECT * FROM evidence WHERE incident_id = %s AND outcome <> 'not_run' ORDER BY position",
        (incident_id,),
    )
    return [Task(evidence=_evidence(row), probe=row["probe"]) for row in await cursor.fetchall()]


async def unfinished(conn: Conn, incident_id: IncidentId) -> int:
    """How many planned steps have not ended."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM evidence WHERE incident_id = %s AND outcome = 'pending'", (incident_id,)
    )
    return one(await cursor.fetchone())["n"]


def _evidence(row: DictRow) -> Evidence:
    judgement = Judgement(row["judgement"]) if row["judgement"] else None
    return value(Evidence, row, outcome=Outcome(row["outcome"]), judgement=judgement)
