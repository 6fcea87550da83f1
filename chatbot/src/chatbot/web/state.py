"""What the routes share: the parts they are handed, and who is at the other end."""

from __future__ import annotations

import asyncio
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.openapi.models import APIKey
from fastapi.security.base import SecurityBase

from chatbot.core.client_address import Address
from chatbot.stages.authenticate import Credentials
from chatbot.stages.check import Checks
from chatbot.stages.ports import Outside
from chatbot.web.drain import Drain


def outside_of(request: Request) -> Outside:
    """The parts of this application."""
    return cast("Outside", request.app.state.outside)


def checks_of(request: Request) -> Checks:
    """The health checks of this application."""
    return cast("Checks", request.app.state.checks)


def admin_token_of(request: Request) -> str:
    """The token that opens the admin API."""
    return cast("str", request.app.state.admin_token)


def drain_of(request: Request) -> Drain:
    """Whether this process takes new questions, and the streams that run."""
    return cast("Drain", request.app.state.drain)


def address_of(request: Request) -> Address | None:
    """The client's address, as `Screened` found it behind the trusted proxies."""
    return cast("Address | None", request.state.client_address)


def upload_room_of(request: Request) -> asyncio.Semaphore:
    """Room for uploads, which are held in memory while they arrive; others wait at the door."""
    return cast("asyncio.Semaphore", request.app.state.upload_room)


def client_ip(request: Request) -> str | None:
    """The client's address as text."""
    address = address_of(request)
    return None if address is None else str(address)


def shown_by(request: Request) -> Credentials:
    """What a request shows of who is asking: an API key, a bearer token, and the page's origin."""
    given = request.headers
    return Credentials(
        api_key=given.get("x-api-key"), authorization=given.get("authorization"), origin=given.get("origin")
    )


class _Shown(SecurityBase):
    """The same as a parameter, so that the document of the API says that a credential is needed."""

    model = APIKey.model_validate({"in": "header", "name": "X-Api-Key"})
    scheme_name = "apiKey"

    async def __call__(self, request: Request) -> Credentials:
        return shown_by(request)


Shown = Annotated[Credentials, Depends(_Shown())]
