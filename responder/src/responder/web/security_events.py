"""Security events in: signed, committed before the 2xx, and an incident at once. The form: docs/reference/security-events.md."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from responder.core.security_event import alert_of
from responder.errors import BadPayload, InvalidToken, NotConfigured, ResponderError, StoreUnavailable
from responder.integrations.security_events import read_event
from responder.integrations.signatures import verify
from responder.store import alerts
from responder.telemetry import ALERTS, SECURITY_EVENTS
from responder.web.state import Web, web

router = APIRouter()

HEADER = "X-Bitb-Signature"


@router.post("/hooks/security")
async def accept(request: Request, parts: Annotated[Web, Depends(web)]) -> dict[str, bool]:
    """Takes one event. The same event again changes nothing and is answered with `"new": false`."""
    body = await request.body()
    try:
        new = await _take(parts, request.headers.get(HEADER, ""), body)
    except ResponderError as error:
        SECURITY_EVENTS.labels(result=_RESULTS.get(type(error), "failed")).inc()
        raise
    SECURITY_EVENTS.labels(result="new" if new else "repeated").inc()
    return {"accepted": True, "new": new}


_RESULTS: dict[type[ResponderError], str] = {
    InvalidToken: "not_genuine",
    BadPayload: "not_understood",
    NotConfigured: "not_configured",
    StoreUnavailable: "not_stored",
}


async def _take(parts: Web, header: str, body: bytes) -> bool:
    now = parts.outside.clock.now()
    keys = parts.settings.hook_keys
    if not keys:
        raise NotConfigured(
            "RESPONDER_HOOK_KEYS is not set, so nobody's signature can be checked. Set the key that the sender has."
        )
    verify(header, body, keys=keys, now=now)
    event = read_event(body)
    known = parts.outside.policies.security_events
    if event.event not in known:
        names = ", ".join(sorted(known)) or "none"
        raise BadPayload(
            f"'{event.event}' is not known in policies/security_events.toml. Known: {names}. Nothing was stored."
        )
    alert = alert_of(event, known[event.event])
    async with parts.outside.database.transaction() as conn:
        # A repeat has the fingerprint and the start of the first: the table of alerts remembers every event there was.
        new = await alerts.accept(conn, [alert], now=now)
    ALERTS.inc(new)
    return bool(new)
