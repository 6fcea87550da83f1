"""Alerts in: committed before the 2xx. Overload and a lost database answer 503, which Alertmanager tries again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from responder.errors import BadPayload, StoreUnavailable
from responder.integrations.alertmanager import read_delivery
from responder.store import alerts
from responder.telemetry import ALERTS, WEBHOOKS
from responder.web.sessions import alertmanager_asking
from responder.web.state import Web, web

router = APIRouter()


@router.post("/api/alerts", dependencies=[Depends(alertmanager_asking)])
async def accept(request: Request, parts: Annotated[Web, Depends(web)]) -> dict[str, int]:
    """Takes a delivery of Alertmanager's webhook, version 4."""
    body = await request.body()
    try:
        delivered = read_delivery(body)
        async with parts.outside.database.transaction() as conn:
            new = await alerts.accept(conn, delivered, now=parts.outside.clock.now())
    except BadPayload:
        WEBHOOKS.labels(status="400").inc()
        raise
    except StoreUnavailable:
        WEBHOOKS.labels(status="503").inc()
        raise
    WEBHOOKS.labels(status="200").inc()
    ALERTS.inc(new)
    return {"accepted": len(delivered), "new": new}
