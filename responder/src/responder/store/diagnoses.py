"""The one diagnosis of an incident, due when its evidence is in, and the findings it drew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from responder.core.finding import Confidence, Finding
from responder.core.incident import IncidentId
from responder.store.db import Conn, value
from responder.store.due import Queue

QUEUE = Queue(table="diagnoses", lease=timedelta(seconds=30))


async def schedule(conn: Conn, incident_id: IncidentId, *, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO diagnoses (id, due_at) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at",
        (incident_id, now),
    )


async def record(conn: Conn, incident_id: IncidentId, findings: Sequence[Finding]) -> list[Finding]:
    """Stores the findings; returns those that were not known."""
    new: list[Finding] = []
    for finding in findings:
        cursor = await conn.execute(
            """
            INSERT INTO findings (incident_id, claim, confidence, component, cites) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (incident_id, claim) DO NOTHING
            """,
            (incident_id, finding.claim, finding.confidence, finding.component, list(finding.cites)),
        )
        if cursor.rowcount:
            new.append(finding)
    return new


async def findings(conn: Conn, incident_id: IncidentId) -> list[Finding]:
    cursor = await conn.execute("SELECT * FROM findings WHERE incident_id = %s ORDER BY id", (incident_id,))
    return [
        value(Finding, row, confidence=Confidence(row["confidence"]), cites=tuple(row["cites"]))
        for row in await cursor.fetchall()
    ]
