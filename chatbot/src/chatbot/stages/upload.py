"""A file, or the address of a page → a revision that is queued. The row is the truth; the queue is only told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.documents import LONGEST_TITLE, MediaType, RevisionRef, Source, clean_title
from chatbot.core.quotas import Quota
from chatbot.core.tenancy import Tenant
from chatbot.errors import BadRequest, QueueUnavailable
from chatbot.stages.ports import Clocks, Jobs, now_of
from chatbot.store.audit import add_entry
from chatbot.store.db import Database
from chatbot.store.documents import begin_revision, holdings
from chatbot.store.usage import hold_limits

log = structlog.get_logger()


async def upload(
    database: Database,
    clocks: Clocks,
    tenant: Tenant,
    *,
    title: str,
    parts: Sequence[bytes],
    media_type: MediaType | None,
    actor: str,
) -> RevisionRef:
    """Keeps the bytes as the next revision of the document of that title. What answered before answers on.

    Raises BadRequest for an empty file or title, QuotaReached, StoreUnavailable.
    """
    if not any(parts):
        raise BadRequest(f"{title[:80] or 'The file'} has 0 bytes.", remedy="Send a file that is not empty.")
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return await _begin(
        database,
        clocks,
        tenant,
        title=_checked(title),
        source=Source.UPLOAD,
        url=None,
        media_type=media_type,
        sha256=digest.digest(),
        parts=parts,
        actor=actor,
    )


async def add_url(
    database: Database, clocks: Clocks, tenant: Tenant, *, url: str, title: str | None, actor: str
) -> RevisionRef:
    """Queues a page to be fetched by a worker. Its title is its address unless one is given."""
    return await _begin(
        database,
        clocks,
        tenant,
        title=_checked(title or url),
        source=Source.URL,
        url=url,
        media_type=None,
        sha256=None,
        parts=(),
        actor=actor,
    )


async def announce(jobs: Jobs, ref: RevisionRef) -> None:
    """Tells the queue of a committed revision. Without Redis the sweep of a worker does, once it is back."""
    try:
        await jobs.send_ingest(ref)
    except QueueUnavailable as error:
        log.warning("ingest_not_announced", document_id=str(ref.document_id), error=str(error))


async def _begin(
    database: Database,
    clocks: Clocks,
    tenant: Tenant,
    *,
    title: str,
    source: Source,
    url: str | None,
    media_type: MediaType | None,
    sha256: bytes | None,
    parts: Sequence[bytes],
    actor: str,
) -> RevisionRef:
    async with database.tenant(tenant.tenant_id) as conn:
        # Whoever uploads at the same moment waits: both would see room for the last one.
        limits = await hold_limits(conn, tenant.tenant_id)
        documents, size = await holdings(conn, tenant.tenant_id)
        # Whether it replaces one is not asked: at the limit, delete first.
        limits.check(Quota.DOCUMENTS, used=documents, adding=1)
        limits.check(Quota.BYTES, used=size, adding=sum(map(len, parts)))
        ref = await begin_revision(
            conn,
            tenant.tenant_id,
            title=title,
            source=source,
            url=url,
            media_type=media_type,
            sha256=sha256,
            parts=parts,
            actor=actor,
            now=now_of(clocks),
        )
        detail = {"document": str(ref.document_id), "title": title, "revision": ref.revision, "url": url}
        entry = AuditEntry(
            event=AuditEvent.DOCUMENT_ADDED, actor=actor, tenant_id=tenant.tenant_id, detail=detail
        )
        await add_entry(conn, entry)
    return ref


def _checked(title: str) -> str:
    cleaned = clean_title(title)
    if not cleaned:
        raise BadRequest(
            "The title is empty.", remedy=f"Give one of 1 to {LONGEST_TITLE} characters, such as policy.md."
        )
    return cleaned
