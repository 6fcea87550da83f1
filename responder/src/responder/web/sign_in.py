"""Signing in with a link that `responder oncall token NAME` prints."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from fastapi.responses import RedirectResponse, Response

from responder.integrations.links import Purpose
from responder.web.acknowledgements import set_session
from responder.web.pages import page
from responder.web.sessions import COOKIE, SESSION_LASTS
from responder.web.state import Web, web

router = APIRouter()


@router.get("/sign-in")
async def ask(token: str = "") -> Response:
    """A form for the token; filled in already when the link brought it."""
    return page("sign_in.html", title="Sign in", token=token, person=None)


@router.post("/sign-in")
async def sign_in(token: Annotated[str, Form()], parts: Annotated[Web, Depends(web)]) -> Response:
    """Sets the session's cookie. Raises InvalidToken."""
    signed = parts.signer.read(token.strip(), Purpose.SIGN_IN)
    person = parts.outside.policies.on_call.who(signed.person)
    response = RedirectResponse("/", status_code=303)
    set_session(response, parts.signer.sign(Purpose.SESSION, person=person.name, lasts=SESSION_LASTS), parts)
    return response


@router.post("/sign-out")
async def sign_out() -> Response:
    response = RedirectResponse("/sign-in", status_code=303)
    response.delete_cookie(COOKIE)
    return response
