"""File → document with passages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.passages import split
from chatbot.core.tenancy import Tenant
from chatbot.errors import BadRequest
from chatbot.store.audit import add_entry
from chatbot.store.db import Database
from chatbot.store.documents import replace_document

LARGEST_DOCUMENT = 5_000_000
LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """A stored document and the number of its passages."""

    document_id: UUID
    title: str
    passages: int


async def ingest(db: Database, tenant: Tenant, *, title: str, content: bytes, actor: str) -> Ingested:
    """Stores Markdown or plain text in place of the document of the same title. All of it or nothing.

    Raises BadRequest for what is empty, not UTF-8, or larger than LARGEST_DOCUMENT bytes.
    """
    if len(content) > LARGEST_DOCUMENT:
        raise BadRequest(f"{title} has {len(content)} bytes; at most {LARGEST_DOCUMENT} are taken.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"{title} is not UTF-8: byte {error.start} is not text.", remedy="Save it as UTF-8 text."
        ) from error
    if "\x00" in text:
        raise BadRequest(f"{title} is not text: it holds zero bytes.")
    pieces = split(text)
    if not pieces:
        raise BadRequest(f"{title} is empty: there is nothing to answer from.")
    digest = hashlib.sha256(content)
    title = title[:LONGEST_TITLE]
    async with db.tenant(tenant.tenant_id) as conn:
        document_id = await replace_document(
            conn, tenant.tenant_id, title=title, sha256=digest.digest(), pieces=pieces
        )
        entry = AuditEntry(
            event=AuditEvent.DOCUMENT_ADDED,
            actor=actor,
            tenant_id=tenant.tenant_id,
            detail={"title": title, "sha256": digest.hexdigest(), "passages": len(pieces)},
        )
        await add_entry(conn, entry)
    return Ingested(document_id=document_id, title=title, passages=len(pieces))
