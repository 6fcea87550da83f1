"""Who is asking: a signed cookie for browsers, a bearer token for programs. Both are short-lived and name a person."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from responder.core.schedule import Person
from responder.errors import InvalidToken
from responder.integrations.links import Purpose
from responder.web.state import Web, web

COOKIE = "responder_session"
SESSION_LASTS = timedelta(hours=12)


class SignInNeeded(InvalidToken):
    """Nobody is signed in."""


class CrossSite(InvalidToken):
    """A form that another site sent with the person's cookie."""


def person_asking(request: Request, parts: Annotated[Web, Depends(web)]) -> Person:
    """The person that the cookie or the bearer token names. Raises SignInNeeded, CrossSite, InvalidToken."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = parts.signer.read(bearer, Purpose.SIGN_IN)
    else:
        cookie = request.cookies.get(COOKIE)
        if cookie is None:
            raise SignInNeeded(
                "Sign in first. `responder oncall token NAME` prints a link for a person on call."
            )
        if request.method not in {"GET", "HEAD"}:
            _same_site(request, parts)
        token = parts.signer.read(cookie, Purpose.SESSION)
    return parts.outside.policies.on_call.who(token.person)


def _same_site(request: Request, parts: Web) -> None:
    # Beside SameSite=Strict: the browser's own word on where the form came from.
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != urlsplit(parts.settings.public_url).netloc:
        raise CrossSite(f"This came from another site ({origin[:80]}); nothing was done.")


def alertmanager_asking(request: Request, parts: Annotated[Web, Depends(web)]) -> None:
    """Raises InvalidToken unless the bearer token is Alertmanager's."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(
        given.encode(), parts.settings.alertmanager_token.encode()
    ):
        raise InvalidToken(
            "Alertmanager's bearer token is missing or wrong: see RESPONDER_ALERTMANAGER_TOKEN."
        )


Asking = Annotated[Person, Depends(person_asking)]
