"""What the routes share: the parts they are handed, and who is at the other end."""

from __future__ import annotations

import asyncio
from typing import Annotated, cast

from fastapi import Depends, Header, Request

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


async def _credentials(  # async, so that it runs here and not in a thread
    x_api_key: Annotated[str | None, Header()] = None,
    authorization: Annotated[str | None, Header()] = None,
    origin: Annotated[str | None, Header()] = None,
) -> Credentials:
    return Credentials(api_key=x_api_key, authorization=authorization, origin=origin)


# What a request shows of who is asking: an API key, a bearer token, and the page's origin.
Shown = Annotated[Credentials, Depends(_credentials)]
