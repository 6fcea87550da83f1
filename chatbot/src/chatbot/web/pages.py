"""The pages for people: the chat, a tenant's documents, and the widget for other people's pages. All of them plain files."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
# A page may run this server's own scripts and speak with this server, and nothing else; nobody may frame it.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
# What the widget loads is loaded by pages of other origins. It holds no secret.
PUBLIC_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "no-cache",
}
router = APIRouter(include_in_schema=False)


@router.get("/")
async def chat_page() -> FileResponse:
    """The chat."""
    return FileResponse(STATIC / "chat.html", headers=PAGE_HEADERS)


@router.get("/documents")
async def documents_page() -> FileResponse:
    """A tenant's documents."""
    return FileResponse(STATIC / "documents.html", headers=PAGE_HEADERS)


@router.get("/join")
async def join_page() -> FileResponse:
    """Where the link of an invitation leads."""
    return FileResponse(STATIC / "join.html", headers=PAGE_HEADERS)


@router.get("/widget.js")
async def widget() -> FileResponse:
    """The widget's script, for any page."""
    return FileResponse(STATIC / "widget.js", headers=PUBLIC_HEADERS)


class PublicFiles(StaticFiles):
    """The scripts and styles, under /static."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(PUBLIC_HEADERS)
        return response
