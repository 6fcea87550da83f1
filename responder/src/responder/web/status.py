"""The status page, from the files on disk: it needs neither the database nor the rest of this program."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from responder.errors import NotFound
from responder.web.state import Web, web

router = APIRouter()

_FILES = {"": "index.html", "status.json": "status.json"}
_CACHE = "public, max-age=10, stale-if-error=86400"


@router.get("/status", include_in_schema=False)
async def slash() -> Response:
    return RedirectResponse("/status/")


@router.get("/status/{name:path}")
async def read(name: str, request: Request, parts: Annotated[Web, Depends(web)]) -> Response:
    """One of the page's files."""
    file = parts.settings.status_dir / "current" / _FILES.get(name, "")
    if name not in _FILES or not file.is_file():
        raise NotFound("There is no such file of the status page.")
    return FileResponse(file.resolve(), headers={"Cache-Control": _CACHE})
