"""A place to be answered in, held until the request has ended, whichever way that happens."""

from __future__ import annotations

import asyncio

from fastapi import Request

from chatbot.errors import ClientLeft
from chatbot.web.event_stream import left
from chatbot.web.state import outside_of


async def take_place(request: Request, tenant_id: object) -> None:
    """Waits for a place, as long as the client does. Raises Overloaded and ClientLeft.

    `Screened` gives the place back when the request ends.
    """
    places, tenant = outside_of(request).places, str(tenant_id)
    if places.has_room(tenant):
        request.state.at_end.append(await places.enter(tenant))
        return
    entering = asyncio.create_task(places.enter(tenant))
    leaving = asyncio.create_task(left(request.receive))
    try:
        await asyncio.wait({entering, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (entering, leaving):
            task.cancel()
        await asyncio.wait({entering, leaving})
        if not entering.cancelled() and entering.exception() is None:
            request.state.at_end.append(entering.result())
    if entering.cancelled():
        raise ClientLeft("The client left while it waited for a place.")
    entering.result()
