"""Alerts as they were accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.types.json import Jsonb

from responder.core.alert import Alert, AlertId, AlertStatus
from responder.core.incident import IncidentId
from responder.store.db import Conn, value
from responder.store.due import Queue

QUEUE = Queue(table="alerts", lease=timedelta(seconds=30))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlert:
    id: AlertId
    alert: Alert
    received_at: datetime
    incident_id: IncidentId | None


async def accept(conn: Conn, alerts: Sequence[Alert], *, now: datetime) -> int:
    """Stores what is new in a delivery and makes it due for triage; returns how many alerts that were.

    The same alert in the same state, delivered again, only moves `last_seen_at`. A resolved alert never fires again
    under the same start: a late "firing" that was overtaken on its way is not new.
    """
    new = 0
    for alert in alerts:
        cursor = await conn.execute(
            """
            INSERT INTO alerts AS known (fingerprint, starts_at, status, ends_at, labels, annotations, generator_url,
                                         received_at, last_seen_at, due_at)
            VALUES (%(fingerprint)s, %(starts_at)s, %(status)s, %(ends_at)s, %(labels)s, %(annotations)s,
                    %(generator_url)s, %(now)s, %(now)s, %(now)s)
            ON CONFLICT (fingerprint, starts_at) DO UPDATE
            SET last_seen_at = %(now)s,
                due_at = CASE WHEN known.status = 'firing' AND excluded.status = 'resolved'
                              THEN %(now)s ELSE known.due_at END,
                ends_at = CASE WHEN known.status = 'firing' THEN excluded.ends_at ELSE known.ends_at END,
                status = CASE WHEN known.status = 'firing' THEN excluded.status ELSE known.status END
            RETURNING due_at = %(now)s AS new
            """,
            {
                "fingerprint": alert.fingerprint,
                "starts_at": alert.starts_at,
                "status": alert.status,
                "ends_at": alert.ends_at,
                "labels": Jsonb(alert.labels),
                "annotations": Jsonb(alert.annotations),
                "generator_url": alert.generator_url,
                "now": now,
            },
        )
        row = await cursor.fetchone()
        new += bool(row and row["new"])
    return new


async def get(conn: Conn, alert_id: int) -> StoredAlert:
    cursor = await conn.execute("SELECT * FROM alerts WHERE id = %s", (alert_id,))
    row = (await cursor.fetchall())[0]
    alert = value(Alert, row, status=AlertStatus(row["status"]))
    return StoredAlert(
        id=AlertId(row["id"]), alert=alert, received_at=row["received_at"], incident_id=row["incident_id"]
    )


async def join(conn: Conn, alert_id: AlertId, incident_id: IncidentId) -> None:
    await conn.execute("UPDATE alerts SET incident_id = %s WHERE id = %s", (incident_id, alert_id))


async def of_incident(conn: Conn, incident_id: IncidentId) -> list[StoredAlert]:
    cursor = await conn.execute(
        "SELECT * FROM alerts WHERE incident_id = %s ORDER BY starts_at, id", (incident_id,)
    )
    return [
        StoredAlert(
            id=AlertId(row["id"]),
            alert=value(Alert, row, status=AlertStatus(row["status"])),
            received_at=row["received_at"],
            incident_id=row["incident_id"],
        )
        for row in await cursor.fetchall()
    ]


async def end_of_incident(conn: Conn, incident_id: IncidentId, *, now: datetime) -> None:
    """Ends what still fires, since a person closed the incident. Delivered again under the same start, it is not new."""
    await conn.execute(
        "UPDATE alerts SET status = 'resolved', ends_at = %s WHERE incident_id = %s AND status = 'firing'",
        (now, incident_id),
    )


async def firing_of(conn: Conn, incident_id: IncidentId) -> list[StoredAlert]:
    """The alerts of the incident that fire."""
    return [
        stored for stored in await of_incident(conn, incident_id) if stored.alert.status is AlertStatus.FIRING
    ]


async def end(conn: Conn, alert_id: AlertId, *, now: datetime) -> None:
    """Ends an alert as if its notice had come: triage takes it up."""
    await conn.execute(
        "UPDATE alerts SET status = 'resolved', ends_at = %(now)s, due_at = %(now)s"
        " WHERE id = %(id)s AND status = 'firing'",
        {"id": alert_id, "now": now},
    )


async def still_firing(conn: Conn, incident_id: IncidentId) -> int:
    """How many alerts of the incident fire."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM alerts WHERE incident_id = %s AND status = 'firing'", (incident_id,)
    )
    row = await cursor.fetchone()
    return row["n"] if row else 0
