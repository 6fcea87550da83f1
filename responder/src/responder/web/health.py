"""Whether this process lives, and whether it can do its work."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from responder.web.state import Web, web

router = APIRouter()


@router.get("/livez")
async def livez() -> PlainTextResponse:
    """Depends on nothing outside: a lost database must not restart the server."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def readyz(parts: Annotated[Web, Depends(web)]) -> PlainTextResponse:
    """Raises StoreUnavailable, which is a 503."""
    async with parts.outside.database.transaction() as conn:
        await conn.execute("SELECT FROM alerts LIMIT 1")
    return PlainTextResponse("ok\n")


@router.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
