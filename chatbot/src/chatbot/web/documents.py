"""A tenant's documents: put in, looked at, taken out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from chatbot.core.addresses import LONGEST_URL, target_of
from chatbot.core.caller import Caller, Right
from chatbot.core.documents import LARGEST_DOCUMENT, LONGEST_TITLE, Document, MediaType, RevisionRef
from chatbot.core.flags import MAINTENANCE
from chatbot.core.limits import Route
from chatbot.errors import BadRequest, BodyTooLarge, DocumentRefused, Maintenance
from chatbot.stages.authenticate import Credentials, authenticate
from chatbot.stages.delete import delete, not_found
from chatbot.stages.limit import limit, whom
from chatbot.stages.ports import Outside
from chatbot.stages.upload import add_url, announce, upload
from chatbot.store.documents import document_of, list_documents
from chatbot.web import shapes
from chatbot.web.state import Shown, client_ip, outside_of, upload_room_of

MOST_URLS = 100
MOST_LISTED = 200
PART = 1024 * 1024
# An upload holds memory: one that does not come on has to make room.
UPLOAD_TIME = timedelta(seconds=120)
_ANY_KIND = {"", "application/octet-stream", "application/x-www-form-urlencoded"}
router = APIRouter(prefix="/api/documents")

Title = Annotated[str, Query(min_length=1, max_length=LONGEST_TITLE)]


class Page(BaseModel):
    """A page of the web, and what to call it; without a title, its address."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Annotated[str, Field(min_length=1, max_length=LONGEST_URL)]
    title: Annotated[str, Field(min_length=1, max_length=LONGEST_TITLE)] | None = None


class Pages(BaseModel):
    """Pages to be fetched."""

    model_config = ConfigDict(extra="forbid", strict=True)

    urls: Annotated[list[Page], Field(min_length=1, max_length=MOST_URLS)]


_FILE = {
    "requestBody": {
        "required": True,
        "description": f"The file itself, at most {LARGEST_DOCUMENT} bytes.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MediaType},
    }
}


@router.post("", status_code=202, openapi_extra=_FILE, responses={202: {"model": shapes.Document}})
async def add_document(request: Request, title: Title, shown: Shown) -> Response:
    """Takes a file as the body of the request, queued. One of the same title is replaced once this one is ready."""
    outside, caller = await _caller(request, shown, Right.CHANGE_DOCUMENTS)
    media_type = _media_type(request.headers.get("content-type", ""))
    async with upload_room_of(request):
        parts = await _parts(request.stream())
        ref = await upload(
            outside.database,
            outside.clocks,
            caller.tenant,
            title=title,
            parts=parts,
            media_type=media_type,
            actor=caller.actor,
        )
    await announce(outside.jobs, ref)
    return _accepted(await _document(outside, caller, ref.document_id), ref)


@router.post("/urls", status_code=202, response_model=shapes.Documents)
async def add_pages(request: Request, body: Pages, shown: Shown) -> dict[str, Any]:
    """Queues pages of the public web to be fetched by a worker. All of them or, if one cannot be fetched at all, none."""
    outside, caller = await _caller(request, shown, Right.CHANGE_DOCUMENTS)
    for page in body.urls:
        try:
            target_of(page.url, allowed=outside.fetch_allowed)
        except DocumentRefused as error:
            raise BadRequest(str(error), remedy="Give addresses of pages that anyone can read.") from error
    documents: list[dict[str, Any]] = []
    for page in body.urls:
        ref = await add_url(
            outside.database,
            outside.clocks,
            caller.tenant,
            url=page.url,
            title=page.title,
            actor=caller.actor,
        )
        await announce(outside.jobs, ref)
        documents.append(described(await _document(outside, caller, ref.document_id)))
    return {"documents": documents}


@router.get("", response_model=shapes.PageOfDocuments)
async def list_all(
    request: Request,
    shown: Shown,
    after: Annotated[str, Query(max_length=LONGEST_TITLE)] = "",
    most: Annotated[int, Query(ge=1, le=MOST_LISTED, alias="limit")] = MOST_LISTED,
) -> dict[str, Any]:
    """The documents by title. `next` is the `after` of the next page; null at the end."""
    outside, caller = await _caller(request, shown, Right.READ_DOCUMENTS)
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        found = await list_documents(conn, tenant_id, most=most, after_title=after.replace("\x00", ""))
    following = found[-1].title if len(found) == most else None
    return {"documents": [described(document) for document in found], "next": following}


@router.get("/{document_id}", response_model=shapes.Document)
async def read_document(request: Request, document_id: UUID, shown: Shown) -> dict[str, Any]:
    """One document with the status of its newest revision."""
    outside, caller = await _caller(request, shown, Right.READ_DOCUMENTS)
    return described(await _document(outside, caller, document_id))


@router.delete("/{document_id}", status_code=204)
async def delete_document(request: Request, document_id: UUID, shown: Shown) -> Response:
    """Deletes the document with its passages. Nothing is answered from it any more."""
    outside, caller = await _caller(request, shown, Right.CHANGE_DOCUMENTS)
    await delete(outside, caller, document_id)
    return Response(status_code=204)


def described(document: Document) -> dict[str, Any]:
    """A document as clients see it. `status` and `reason` are the newest revision's; `live_revision` answers."""
    return {
        "id": str(document.document_id),
        "title": document.title,
        "source": document.source,
        "url": document.url,
        "status": document.status,
        "reason": document.reason,
        "revision": document.revision,
        "live_revision": document.live_revision,
        "passages": document.passages,
        "media_type": document.media_type,
        "bytes": document.bytes,
        "attempt": document.attempt,
        "created_at": document.created_at.isoformat(),
        "revised_at": document.revised_at.isoformat(),
        "finished_at": document.finished_at.isoformat() if document.finished_at else None,
    }


async def _caller(request: Request, shown: Credentials, right: Right) -> tuple[Outside, Caller]:
    outside = outside_of(request)
    if outside.flags.enabled(MAINTENANCE):
        message = outside.flags.all()[MAINTENANCE].message
        raise Maintenance(message or "The service is closed for maintenance.")
    caller = await authenticate(outside, shown, ip=client_ip(request))
    caller.require(right)
    if right is Right.CHANGE_DOCUMENTS:
        await limit(outside, Route.UPLOAD, whom(caller))
    structlog.contextvars.bind_contextvars(tenant_id=str(caller.tenant.tenant_id))
    return outside, caller


async def _document(outside: Outside, caller: Caller, document_id: UUID) -> Document:
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        document = await document_of(conn, tenant_id, document_id)
    if document is None:
        raise not_found(document_id)
    return document


def _accepted(document: Document, ref: RevisionRef) -> Response:
    return JSONResponse(
        described(document), status_code=202, headers={"Location": f"/api/documents/{ref.document_id}"}
    )


def _media_type(header: str) -> MediaType | None:
    """What the client says that it sends; None where it does not say."""
    kind = header.partition(";")[0].strip().lower()
    if kind in _ANY_KIND:
        return None
    try:
        return MediaType(kind)
    except ValueError as error:
        known = ", ".join(MediaType)
        raise BadRequest(
            f"'{kind[:80]}' cannot be read.", remedy=f"Send the file itself as the body, as one of: {known}."
        ) from error


async def _parts(stream: AsyncIterable[bytes]) -> list[bytes]:
    """The body in parts of about PART bytes, never joined, at most LARGEST_DOCUMENT in all."""
    parts: list[bytes] = []
    held = bytearray()
    size = 0
    try:
        async with asyncio.timeout(UPLOAD_TIME.total_seconds()):
            async for chunk in stream:
                size += len(chunk)
                if size > LARGEST_DOCUMENT:
                    raise BodyTooLarge(
                        f"The file has more than {LARGEST_DOCUMENT} bytes.",
                        remedy="Split it, and send the parts.",
                    )
                held += chunk
                if len(held) >= PART:
                    parts.append(bytes(held))
                    held.clear()
    except TimeoutError as error:
        raise BadRequest(
            f"The file did not arrive within {UPLOAD_TIME.total_seconds():g} s.", remedy="Send it again."
        ) from error
    return [*parts, bytes(held)] if held else parts
