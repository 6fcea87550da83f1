"""Incidents. `change` is the only statement that moves a status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from psycopg.errors import UniqueViolation
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from responder.core.incident import (
    Event,
    Incident,
    IncidentId,
    Kind,
    Severity,
    Status,
    incident_name,
)
from responder.errors import Conflict, NotFound
from responder.store.db import Conn, one, value


async def open_incident(
    conn: Conn,
    *,
    service: str,
    alertname: str,
    title: str,
    severity: Severity,
    kind: Kind,
    restricted: bool,
    runbook_sha256: str | None,
    runbook_entry: str | None,
    alert_labels: Mapping[str, str],
    policy: str,
    now: datetime,
) -> Incident:
    """Opens an incident. Raises Conflict when one is open for this alert of this service."""
    try:
        cursor = await conn.execute(
            """
            INSERT INTO incidents (service, alertname, title, severity, kind, status, restricted, runbook_sha256,
                                   runbook_entry, alert_labels, policy, opened_at, status_changed_at)
            VALUES (%s, %s, %s, %s, %s, 'triggered', %s, %s, %s, %s, %s, %s, %s)
            RETURNING *
            """,
            (
                service,
                alertname,
                title,
                severity,
                kind,
                restricted,
                runbook_sha256,
                runbook_entry,
                Jsonb(alert_labels),
                policy,
                now,
                now,
            ),
        )
    except UniqueViolation as error:
        raise Conflict(f"an incident for {alertname} of {service} is open already") from error
    return _incident(one(await cursor.fetchone()))


async def open_for(conn: Conn, *, service: str, alertname: str) -> Incident | None:
    """The open incident for this alert of this service, locked for the transaction, or None."""
    cursor = await conn.execute(
        """
        SELECT * FROM incidents WHERE service = %s AND alertname = %s AND status NOT IN ('resolved', 'reviewed')
        FOR UPDATE
        """,
        (service, alertname),
    )
    row = await cursor.fetchone()
    return _incident(row) if row else None


async def get(conn: Conn, incident_id: IncidentId, *, lock: bool = False) -> Incident:
    """The incident. Raises NotFound. With `lock`, nobody else changes it before this transaction ends.

    Whoever writes about an incident locks it first, before any row that belongs to it: PostgreSQL's own check of a
    foreign key takes a weaker lock on it, and two transactions that both hold that one cannot both go on to the timeline.
    """
    statement = (
        "SELECT * FROM incidents WHERE id = %s FOR UPDATE"
        if lock
        else "SELECT * FROM incidents WHERE id = %s"
    )
    cursor = await conn.execute(statement, (incident_id,))
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no incident {incident_name(incident_id)}.")
    return _incident(row)


async def newest(conn: Conn, *, limit: int, paged: str | None) -> list[Incident]:
    """Open incidents first, then the closed ones, each newest first. With `paged`, restricted ones only if that person was."""
    cursor = await conn.execute(
        """
        SELECT * FROM incidents i
         WHERE NOT restricted OR %(paged)s::text IS NULL
            OR EXISTS (SELECT FROM pages p WHERE p.incident_id = i.id AND p.person = %(paged)s)
         ORDER BY status IN ('resolved', 'reviewed'), id DESC LIMIT %(limit)s
        """,
        {"paged": paged, "limit": limit},
    )
    return [_incident(row) for row in await cursor.fetchall()]


async def change(conn: Conn, incident: Incident, event: Event, *, now: datetime) -> Incident:
    """Moves the status along the table, by compare-and-set.

    Raises IllegalTransition where the table has no such arrow, Conflict where the incident changed meanwhile.
    """
    after = incident.after(event)
    resolved_at = (
        now if after is Status.RESOLVED else incident.resolved_at if after is Status.REVIEWED else None
    )
    cursor = await conn.execute(
        """
        UPDATE incidents SET status = %s, status_changed_at = %s, resolved_at = %s
        WHERE id = %s AND status = %s RETURNING *
        """,
        (after, now, resolved_at, incident.id, incident.status),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Conflict(f"{incident.name} changed while this was being done; look at it again.")
    return _incident(row)


async def set_commander(conn: Conn, incident_id: IncidentId, person: str) -> None:
    """The first to answer leads, until someone takes over."""
    await conn.execute(
        "UPDATE incidents SET commander = %s WHERE id = %s AND commander IS NULL", (person, incident_id)
    )


async def set_severity(conn: Conn, incident_id: IncidentId, severity: Severity) -> Incident:
    cursor = await conn.execute(
        "UPDATE incidents SET severity = %s WHERE id = %s RETURNING *", (severity, incident_id)
    )
    return _incident(one(await cursor.fetchone()))


async def set_quiet_since(conn: Conn, incident_id: IncidentId, since: datetime | None) -> None:
    await conn.execute("UPDATE incidents SET quiet_since = %s WHERE id = %s", (since, incident_id))


def _incident(row: DictRow) -> Incident:
    return value(
        Incident,
        row,
        severity=Severity(row["severity"]),
        kind=Kind(row["kind"]),
        status=Status(row["status"]),
    )
