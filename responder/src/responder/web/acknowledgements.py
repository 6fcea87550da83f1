"""The link of a page. Opening it does nothing (mail scanners open links); pressing its one button acknowledges."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from responder.core.incident import parse_incident_name
from responder.integrations.links import Purpose
from responder.stages import answer
from responder.store import incidents
from responder.web.pages import page, wants_html
from responder.web.sessions import COOKIE, SESSION_LASTS
from responder.web.state import Web, web

router = APIRouter()


@router.get("/ack/{token}")
async def look(request: Request, token: str, parts: Annotated[Web, Depends(web)]) -> Response:
    """Shows the incident and one button."""
    signed = parts.signer.read(token, Purpose.ACKNOWLEDGE)
    async with parts.outside.database.transaction() as conn:
        incident = await incidents.get(conn, parse_incident_name(signed.subject))
    if not wants_html(request):
        return JSONResponse({"incident": incident.name, "status": incident.status, "person": signed.person})
    return page("acknowledge.html", incident=incident, person=signed.person, title=incident.name)


@router.post("/ack/{token}")
async def acknowledge(request: Request, token: str, parts: Annotated[Web, Depends(web)]) -> Response:
    """Acknowledges, and signs the person in for this incident's page."""
    signed = parts.signer.read(token, Purpose.ACKNOWLEDGE)
    person = parts.outside.policies.on_call.who(signed.person)
    incident = await answer.acknowledge(
        parts.outside, parse_incident_name(signed.subject), person=person.name
    )
    if not wants_html(request):
        return JSONResponse(
            {"incident": incident.name, "status": incident.status, "commander": incident.commander}
        )
    response = RedirectResponse(f"/incidents/{incident.name}", status_code=303)
    session = parts.signer.sign(Purpose.SESSION, person=person.name, lasts=SESSION_LASTS)
    set_session(response, session, parts)
    return response


def set_session(response: Response, session: str, parts: Web) -> None:
    response.set_cookie(
        COOKIE,
        session,
        max_age=int(SESSION_LASTS.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=parts.settings.public_url.startswith("https://"),
    )
