"""Incidents for programs: JSON, and the timeline as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from responder.core.incident import IncidentId, Severity, parse_incident_name
from responder.stages import answer
from responder.store import timeline
from responder.web.sessions import Asking
from responder.web.state import Web, web
from responder.web.view import entry_json, incident_for, incident_json, incidents_for, view, view_json

router = APIRouter(prefix="/api/incidents")
Parts = Annotated[Web, Depends(web)]

LIST_LIMIT = 200


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Answers(_Body):
    """What a person answers to the asks of a remedy, by name: all of them, and nothing else."""

    inputs: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Each `asks[].name` of the remedy with its value, which the whole of `asks[].pattern` must match.",
        max_length=50,
        examples=[{"attacker_ip": "203.0.113.9"}],
    )


class Approval(_Body):
    digest: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Assessment(_Body):
    severity: Severity
    text: str = ""


class Words(_Body):
    text: str


@router.get("")
async def list_incidents(person: Asking, parts: Parts) -> list[dict[str, Any]]:
    return [
        incident_json(incident) for incident in await incidents_for(parts.outside, person, limit=LIST_LIMIT)
    ]


@router.get("/{name}")
async def read(name: str, person: Asking, parts: Parts) -> dict[str, Any]:
    return view_json(await view(parts.outside, parse_incident_name(name), person))


@router.get("/{name}/timeline")
async def read_timeline(name: str, person: Asking, parts: Parts, after: int = 0) -> list[dict[str, Any]]:
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    async with parts.outside.database.transaction() as conn:
        return [entry_json(entry) for entry in await timeline.entries(conn, incident.id, after=after)]


@router.get("/{name}/stream")
async def stream(
    name: str, person: Asking, parts: Parts, last_event_id: Annotated[int, Header()] = 0
) -> StreamingResponse:
    """Every entry after `Last-Event-ID`, then each new one as it is written."""
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    return StreamingResponse(
        _events(parts, incident.id, after=last_event_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(parts: Web, incident_id: IncidentId, *, after: int) -> AsyncGenerator[str]:
    async for happened in parts.live.changes(incident_id):
        if not happened:
            yield ": still here\n\n"
            continue
        async with parts.outside.database.transaction() as conn:
            new = await timeline.entries(conn, incident_id, after=after)
        for entry in new:
            after = entry.seq
            yield f"id: {entry.seq}\ndata: {json.dumps(entry_json(entry))}\n\n"


@router.post("/{name}/acknowledge")
async def acknowledge(name: str, person: Asking, parts: Parts) -> dict[str, Any]:
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    return incident_json(await answer.acknowledge(parts.outside, incident.id, person=person.name))


@router.post("/{name}/assess")
async def assess(name: str, body: Assessment, person: Asking, parts: Parts) -> dict[str, Any]:
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    moved = await answer.assess(
        parts.outside, incident.id, person=person.name, severity=body.severity, text=body.text
    )
    return incident_json(moved)


@router.post("/{name}/mitigate")
async def mitigate(name: str, body: Words, person: Asking, parts: Parts) -> dict[str, Any]:
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    return incident_json(
        await answer.mitigate(parts.outside, incident.id, person=person.name, text=body.text)
    )


@router.post("/{name}/resolve")
async def resolve(name: str, body: Words, person: Asking, parts: Parts) -> dict[str, Any]:
    """Closes the incident with a reason; what is latched ends in no other way."""
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    return incident_json(await answer.close(parts.outside, incident.id, person=person.name, text=body.text))


@router.post("/{name}/note", status_code=204)
async def note(name: str, body: Words, person: Asking, parts: Parts) -> None:
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    await answer.note(parts.outside, incident.id, person=person.name, text=body.text)


@router.post("/{name}/remediations/{remediation_id}/preview", status_code=202)
async def preview(
    name: str, remediation_id: int, person: Asking, parts: Parts, body: Answers | None = None
) -> dict[str, str]:
    """Asks for a preview, with the answers to what the remedy asks; it appears in the timeline."""
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    item = await answer.ask_preview(
        parts.outside, incident.id, remediation_id, person=person.name, inputs=body.inputs if body else {}
    )
    return {"state": item.state}


@router.post("/{name}/remediations/{remediation_id}/approve", status_code=202)
async def approve(
    name: str, remediation_id: int, body: Approval, person: Asking, parts: Parts
) -> dict[str, str]:
    """Approves what the preview with this digest showed; it runs once, and is then verified."""
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    item = await answer.approve(
        parts.outside, incident.id, remediation_id, person=person.name, digest=body.digest
    )
    return {"state": item.state}


@router.post("/{name}/remediations/{remediation_id}/undo", status_code=202)
async def undo(name: str, remediation_id: int, person: Asking, parts: Parts) -> dict[str, str]:
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    item = await answer.undo(parts.outside, incident.id, remediation_id, person=person.name)
    return {"state": item.state}
