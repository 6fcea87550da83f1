"""The console: the list of incidents, and one incident with its runbook, evidence in place, remedies and timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from responder.core.ask import ANSWER_LIMIT
from responder.core.incident import OPEN, Severity, events_possible, parse_incident_name
from responder.core.schedule import Person
from responder.errors import BadAnswers
from responder.stages import answer
from responder.store import postmortems
from responder.web.pages import page, part, since
from responder.web.sessions import Asking
from responder.web.state import Web, web
from responder.web.view import incident_for, incidents_for, view
from responder.web.walk import entry_of, walk

router = APIRouter(include_in_schema=False)
Parts = Annotated[Web, Depends(web)]

LIST_LIMIT = 100


@router.get("/")
async def front(person: Asking, parts: Parts) -> HTMLResponse:
    found = await incidents_for(parts.outside, person, limit=LIST_LIMIT)
    return page("incidents.html", title="Incidents", incidents=found, person=person.name, open_states=OPEN)


@router.get("/incidents/{name}")
async def one(name: str, person: Asking, parts: Parts) -> HTMLResponse:
    return page("incident.html", **await _values(name, person, parts))


@router.get("/incidents/{name}/live")
async def live(name: str, person: Asking, parts: Parts) -> HTMLResponse:
    """The part of the page that changes, for the script that follows the stream."""
    return HTMLResponse(part("incident_live.html", **await _values(name, person, parts)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Answers of a person that were not taken: as they were typed, and what is wrong, by name."""

    remediation: int
    typed: Mapping[str, str]
    problems: Mapping[str, str]


async def _values(name: str, person: Person, parts: Web, *, refused: Refused | None = None) -> dict[str, Any]:
    shown = await view(parts.outside, parse_incident_name(name), person)
    entry = entry_of(shown.incident, shown.runbook)
    return {
        "steps": walk(entry, shown.evidence),
        "escalation": entry.escalation if entry else (),
        "title": f"{shown.incident.name} {shown.incident.title}",
        "shown": shown,
        "incident": shown.incident,
        "possible": events_possible(shown.incident),
        "person": person.name,
        "latched": shown.incident.alertname in parts.outside.policies.latched_alerts,
        "since": since,
        "show": parts.outside.for_incident(shown.incident).policies.bindings.show,
        "severities": list(Severity),
        "answer_limit": ANSWER_LIMIT,
        "refused": refused,
    }


@router.post("/incidents/{name}/{verb}")
async def act(
    name: str,
    verb: str,
    person: Asking,
    parts: Parts,
    text: Annotated[str, Form()] = "",
    severity: Annotated[Severity | None, Form()] = None,
) -> Response:
    """A button of the page; without JavaScript too."""
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    match verb:
        case "acknowledge":
            await answer.acknowledge(parts.outside, incident.id, person=person.name)
        case "assess":
            chosen = severity or incident.severity
            await answer.assess(parts.outside, incident.id, person=person.name, severity=chosen, text=text)
        case "mitigate":
            await answer.mitigate(
                parts.outside, incident.id, person=person.name, text=text or "says: mitigated"
            )
        case "resolve":
            await answer.close(parts.outside, incident.id, person=person.name, text=text)
        case "note":
            await answer.note(parts.outside, incident.id, person=person.name, text=text)
        case _:
            return PlainTextResponse("There is no such action.\n", status_code=404)
    return RedirectResponse(f"/incidents/{incident.name}", status_code=303)


@router.post("/incidents/{name}/remediations/{remediation_id}/{verb}")
async def remedy(
    request: Request,
    name: str,
    remediation_id: int,
    verb: str,
    person: Asking,
    parts: Parts,
    digest: Annotated[str, Form()] = "",
) -> Response:
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    match verb:
        case "preview":
            typed = await _typed(request)
            try:
                await answer.ask_preview(
                    parts.outside, incident.id, remediation_id, person=person.name, inputs=typed
                )
            except BadAnswers as error:
                refused = Refused(remediation=remediation_id, typed=typed, problems=error.problems)
                values = await _values(name, person, parts, refused=refused)
                return page("incident.html", status=400, **values)
        case "approve":
            await answer.approve(
                parts.outside, incident.id, remediation_id, person=person.name, digest=digest
            )
        case "undo":
            await answer.undo(parts.outside, incident.id, remediation_id, person=person.name)
        case _:
            return PlainTextResponse("There is no such action.\n", status_code=404)
    return RedirectResponse(f"/incidents/{incident.name}#remedies", status_code=303)


_FIELD = "input."


async def _typed(request: Request) -> dict[str, str]:
    """The answers of a form, without the spaces that a phone's keyboard leaves around a word."""
    form = await request.form()
    return {
        field.removeprefix(_FIELD): value.strip()
        for field, value in form.multi_items()
        if field.startswith(_FIELD) and isinstance(value, str)
    }


@router.get("/postmortems/{name}")
async def postmortem(name: str, person: Asking, parts: Parts) -> PlainTextResponse:
    """The draft as Markdown."""
    incident = await incident_for(parts.outside, parse_incident_name(name), person)
    async with parts.outside.database.transaction() as conn:
        text = await postmortems.get(conn, incident.id)
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")
