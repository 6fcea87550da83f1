"""Remediations that an incident offers. `change` is the only statement that moves a state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from responder.core.incident import IncidentId
from responder.core.machine import next_state
from responder.core.remediation import (
    TRANSITIONS,
    Event,
    PlannedRemediation,
    Remediation,
    State,
    requests_from_json,
    requests_to_json,
)
from responder.errors import Conflict, NotFound
from responder.store.db import Conn, insert_many, value
from responder.store.due import Queue

QUEUE = Queue(table="remediations", lease=timedelta(seconds=60))

# States in which the worker has something to do.
_WORK = frozenset({State.PREVIEWING, State.APPROVED, State.VERIFYING, State.UNDOING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a change of state writes beside the state: column → value."""

    inputs: Mapping[str, str] | None = None
    preview: dict[str, Any] | None = None
    digest: str | None = None
    approved_by: str | None = None
    expires_at: datetime | None = None
    result: dict[str, Any] | None = None


async def plan(conn: Conn, incident_id: IncidentId, planned: Sequence[PlannedRemediation]) -> None:
    await insert_many(
        conn,
        """
        INSERT INTO remediations (incident_id, position, key, label, words, text, line, state, runnable, reason, requests)
        VALUES (%s, %s, %s, %s, %s, %s, %s, 'offered', %s, %s, %s)
        """,
        [
            (
                incident_id,
                position,
                item.key,
                item.label,
                item.words,
                item.text,
                item.line,
                item.runnable,
                item.reason,
                Jsonb(requests_to_json(item.requests)),
            )
            for position, item in enumerate(planned)
        ],
    )


async def get(conn: Conn, remediation_id: int, *, incident_id: IncidentId | None = None) -> Remediation:
    """The remediation, locked for the transaction. Raises NotFound, also when it is another incident's."""
    cursor = await conn.execute("SELECT * FROM remediations WHERE id = %s FOR UPDATE", (remediation_id,))
    row = await cursor.fetchone()
    if row is None or (incident_id is not None and row["incident_id"] != incident_id):
        raise NotFound(f"There is no remediation {remediation_id} here.")
    return _remediation(row)


async def of_incident(conn: Conn, incident_id: IncidentId) -> list[Remediation]:
    cursor = await conn.execute(
        "SELECT * FROM remediations WHERE incident_id = %s ORDER BY position", (incident_id,)
    )
    return [_remediation(row) for row in await cursor.fetchall()]


async def change(
    conn: Conn,
    item: Remediation,
    event: Event,
    *,
    now: datetime,
    note: Note | None = None,
    keep_due: bool = False,
) -> Remediation:
    """Moves the state along the table, by compare-and-set; work for the worker becomes due at once.

    With `keep_due` the claim under way goes on: if its worker dies, the row is taken up again in its new state.

    Raises IllegalTransition where the table has no such arrow, Conflict where the row changed meanwhile.
    """
    after = next_state(TRANSITIONS, item.state, event, thing=f"Remediation {item.id}")
    columns: dict[LiteralString, Any] = {"state": after}
    if not keep_due:
        columns["due_at"] = now if after in _WORK else None
    if note:
        columns |= _columns(note)
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns
    )
    statement = sql.SQL(
        "UPDATE remediations SET {} WHERE id = %(id)s AND state = %(before)s RETURNING *"
    ).format(assignments)
    cursor = await conn.execute(statement, {**columns, "id": item.id, "before": item.state})
    row = await cursor.fetchone()
    if row is None:
        raise Conflict(f"Remediation {item.id} changed while this was being done; look at it again.")
    return _remediation(row)


def _columns(note: Note) -> dict[LiteralString, Any]:
    given: dict[LiteralString, Any] = {
        "inputs": Jsonb(dict(note.inputs)) if note.inputs is not None else None,
        "preview": Jsonb(note.preview) if note.preview is not None else None,
        "digest": note.digest,
        "approved_by": note.approved_by,
        "expires_at": note.expires_at,
        "result": Jsonb(note.result) if note.result is not None else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _remediation(row: DictRow) -> Remediation:
    return value(Remediation, row, state=State(row["state"]), requests=requests_from_json(row["requests"]))
