"""Documents and their revisions, which are the jobs of the queue: their truth is here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import orjson
from psycopg.rows import DictRow

from chatbot.core.documents import (
    LEASE,
    Document,
    Event,
    RevisionRef,
    Source,
    Status,
    Taken,
    after,
    before,
)
from chatbot.core.passages import Piece, Vector
from chatbot.core.tenancy import TenantId
from chatbot.store.db import Conn

NEWEST = """
SELECT d.id, d.title, d.source, d.url, d.live_revision, d.passages, d.created_at,
       r.revision, r.status, r.reason, r.media_type, r.bytes, r.attempt, r.created_at AS revised_at, r.finished_at
  FROM documents d
  JOIN LATERAL (SELECT * FROM revisions r WHERE r.tenant_id = d.tenant_id AND r.document_id = d.id
                 ORDER BY r.revision DESC LIMIT 1) r ON true
 WHERE d.tenant_id = %(tenant_id)s
"""


async def begin_revision(
    conn: Conn,
    tenant_id: TenantId,
    *,
    title: str,
    source: Source,
    url: str | None,
    media_type: str | None,
    sha256: bytes | None,
    parts: Iterable[bytes],
    actor: str,
    now: datetime,
) -> RevisionRef:
    """The next revision of the document of that title, queued with its bytes.

    One that is not finished, or failed, makes room for it; the one that answers stays.
    """
    cursor = await conn.execute(
        "INSERT INTO documents (tenant_id, title, source, url) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (tenant_id, title) DO UPDATE SET source = excluded.source, url = excluded.url RETURNING id",
        (tenant_id, title, source, url),
    )
    document_id: UUID = _only(await cursor.fetchone())["id"]
    cursor = await conn.execute(
        "SELECT coalesce(max(revision), 0) + 1 AS revision FROM revisions WHERE tenant_id = %s AND document_id = %s",
        (tenant_id, document_id),
    )
    ref = RevisionRef(
        tenant_id=tenant_id, document_id=document_id, revision=_only(await cursor.fetchone())["revision"]
    )
    await conn.execute(
        "DELETE FROM revisions WHERE tenant_id = %s AND document_id = %s AND status <> %s",
        (tenant_id, document_id, Status.READY),
    )
    await conn.execute(
        "INSERT INTO revisions (tenant_id, document_id, revision, media_type, sha256, actor, due_at, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (tenant_id, document_id, ref.revision, media_type, sha256, actor, now, now),
    )
    await _keep_bytes(conn, ref, parts)
    return ref


async def _keep_bytes(conn: Conn, ref: RevisionRef, parts: Iterable[bytes]) -> None:
    size = 0
    for number, part in enumerate(parts):
        await conn.execute(
            "INSERT INTO uploads (tenant_id, document_id, revision, part, bytes) VALUES (%s, %s, %s, %s, %s)",
            (ref.tenant_id, ref.document_id, ref.revision, number, part),
        )
        size += len(part)
    if size:
        await conn.execute(
            "UPDATE revisions SET bytes = %s WHERE tenant_id = %s AND document_id = %s AND revision = %s",
            (size, ref.tenant_id, ref.document_id, ref.revision),
        )


async def holdings(conn: Conn, tenant_id: TenantId) -> tuple[int, int]:
    """How many documents the tenant has, and how many bytes were sent for those that answer or are to."""
    cursor = await conn.execute(
        "SELECT count(DISTINCT document_id) AS documents, coalesce(sum(bytes) FILTER (WHERE status <> %s), 0) AS bytes"
        "  FROM revisions WHERE tenant_id = %s",
        (Status.FAILED, tenant_id),
    )
    row = _only(await cursor.fetchone())
    return row["documents"], int(row["bytes"])


async def parts_of(conn: Conn, ref: RevisionRef) -> list[bytes]:
    """The bytes of a revision, in the parts in which they were stored."""
    cursor = await conn.execute(
        "SELECT bytes FROM uploads WHERE tenant_id = %s AND document_id = %s AND revision = %s ORDER BY part",
        (ref.tenant_id, ref.document_id, ref.revision),
    )
    return [row["bytes"] for row in await cursor.fetchall()]


async def note_fetched(conn: Conn, ref: RevisionRef, *, sha256: bytes, size: int) -> None:
    """What came from the URL; the bytes themselves are not stored."""
    await conn.execute(
        "UPDATE revisions SET sha256 = %s, bytes = %s WHERE tenant_id = %s AND document_id = %s AND revision = %s"
        " AND attempt = %s",
        (sha256, size, ref.tenant_id, ref.document_id, ref.revision, ref.attempt),
    )


async def list_documents(conn: Conn, tenant_id: TenantId, *, most: int, after_title: str) -> list[Document]:
    """The documents with a title after that one, by title."""
    cursor = await conn.execute(
        NEWEST + " AND d.title > %(after)s ORDER BY d.title LIMIT %(most)s",
        {"tenant_id": tenant_id, "after": after_title, "most": most},
    )
    return [_document(row) for row in await cursor.fetchall()]


async def document_of(conn: Conn, tenant_id: TenantId, document_id: UUID) -> Document | None:
    """The document; None where this tenant has none of that id."""
    cursor = await conn.execute(NEWEST + " AND d.id = %(id)s", {"tenant_id": tenant_id, "id": document_id})
    row = await cursor.fetchone()
    return _document(row) if row else None


async def delete_document(conn: Conn, tenant_id: TenantId, document_id: UUID) -> str | None:
    """Deletes the document with all that hangs on it; its title, or None where there is none."""
    cursor = await conn.execute(
        "DELETE FROM documents WHERE tenant_id = %s AND id = %s RETURNING title", (tenant_id, document_id)
    )
    row = await cursor.fetchone()
    return row["title"] if row else None


async def take(conn: Conn, ref: RevisionRef, now: datetime) -> Taken | None:
    """The revision, held for LEASE, if it is queued and due or if the lease of whoever held it has run out.

    None also while the tenant is suspended: it waits.
    """
    cursor = await conn.execute(
        "UPDATE revisions r SET status = %(status)s, attempt = attempt + 1, lease_until = %(until)s"
        "  FROM documents d"
        " WHERE r.tenant_id = %(tenant_id)s AND r.document_id = %(document_id)s AND r.revision = %(revision)s"
        "   AND d.tenant_id = r.tenant_id AND d.id = r.document_id"
        "   AND ((r.status = ANY (%(before)s) AND r.due_at <= %(now)s)"
        "        OR (r.status = ANY (%(held)s) AND r.lease_until <= %(now)s))"
        "   AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = %(tenant_id)s AND t.suspended_at IS NOT NULL)"
        " RETURNING r.tenant_id, r.attempt, r.attempt - r.excused AS tries, r.media_type, r.actor, d.title, d.source, d.url",
        {
            **_key(ref),
            "status": after(Status.QUEUED, Event.TAKE),
            "before": before(Event.TAKE),
            "held": before(Event.RETRY),
            "until": now + LEASE,
            "now": now,
        },
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    return Taken(
        ref=RevisionRef(
            tenant_id=TenantId(row["tenant_id"]),
            document_id=ref.document_id,
            revision=ref.revision,
            attempt=row["attempt"],
        ),
        title=row["title"],
        source=Source(row["source"]),
        url=row["url"],
        media_type=row["media_type"],
        actor=row["actor"],
        tries=row["tries"],
    )


async def keep_hold(conn: Conn, ref: RevisionRef, now: datetime) -> bool:
    """Prolongs the lease. False: somebody else has the revision now, or it is gone."""
    cursor = await conn.execute(
        "UPDATE revisions SET lease_until = %s WHERE tenant_id = %s AND document_id = %s AND revision = %s"
        " AND attempt = %s AND lease_until IS NOT NULL",
        (now + LEASE, ref.tenant_id, ref.document_id, ref.revision, ref.attempt),
    )
    return cursor.rowcount == 1


async def note_parsed(conn: Conn, ref: RevisionRef, *, media_type: str, passages: int, now: datetime) -> bool:
    """The next state: embedding. False: the revision is no longer held."""
    cursor = await conn.execute(
        "UPDATE revisions SET status = %s, media_type = %s, passages = %s, lease_until = %s"
        " WHERE tenant_id = %s AND document_id = %s AND revision = %s AND attempt = %s AND status = ANY (%s)",
        (after(Status.PARSING, Event.PARSED), media_type, passages, now + LEASE, *_held(ref, Event.PARSED)),
    )
    return cursor.rowcount == 1


async def note_failed(conn: Conn, ref: RevisionRef, *, reason: str, now: datetime) -> bool:
    """The end, with the reason; the bytes are not kept. False: the revision is no longer held."""
    cursor = await conn.execute(
        "UPDATE revisions SET status = %s, reason = %s, lease_until = NULL, finished_at = %s"
        " WHERE tenant_id = %s AND document_id = %s AND revision = %s AND attempt = %s AND status = ANY (%s)",
        (after(Status.PARSING, Event.FAIL), reason, now, *_held(ref, Event.FAIL)),
    )
    await _forget_bytes(conn, ref)
    return cursor.rowcount == 1


async def note_retry(
    conn: Conn, ref: RevisionRef, *, reason: str, due_at: datetime, excused: bool = False
) -> bool:
    """Queued again, for later; an attempt that is excused does not count. False: the revision is no longer held."""
    cursor = await conn.execute(
        "UPDATE revisions SET status = %s, reason = %s, lease_until = NULL, due_at = %s, excused = excused + %s"
        " WHERE tenant_id = %s AND document_id = %s AND revision = %s AND attempt = %s AND status = ANY (%s)",
        (after(Status.PARSING, Event.RETRY), reason, due_at, int(excused), *_held(ref, Event.RETRY)),
    )
    return cursor.rowcount == 1


async def make_live(
    conn: Conn,
    ref: RevisionRef,
    pieces: Sequence[Piece],
    vectors: Sequence[Vector],
    *,
    shelf: int | None,
    model: str,
    now: datetime,
) -> bool:
    """The end: the passages of this revision answer in place of those before. False: it is no longer held."""
    # The document before its revisions, as whoever uploads the next one and whoever deletes it: else each waits for the other.
    await conn.execute(
        "SELECT FROM documents WHERE tenant_id = %s AND id = %s FOR UPDATE", (ref.tenant_id, ref.document_id)
    )
    cursor = await conn.execute(
        "UPDATE revisions SET status = %s, reason = NULL, lease_until = NULL, finished_at = %s"
        " WHERE tenant_id = %s AND document_id = %s AND revision = %s AND attempt = %s AND status = ANY (%s)",
        (after(Status.EMBEDDING, Event.EMBEDDED), now, *_held(ref, Event.EMBEDDED)),
    )
    if cursor.rowcount != 1:
        return False
    await conn.execute(
        "DELETE FROM passages WHERE tenant_id = %s AND document_id = %s", (ref.tenant_id, ref.document_id)
    )
    async with conn.cursor() as many:
        await many.executemany(
            "INSERT INTO passages (tenant_id, document_id, revision, position, page, heading, text, shelf, model,"
            " embedding) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::halfvec)",
            [
                (ref.tenant_id, ref.document_id, ref.revision, position, piece.page, piece.heading, piece.text,
                 shelf, model, vector_text(vector))
                for position, (piece, vector) in enumerate(zip(pieces, vectors, strict=True))
            ],
        )  # fmt: skip
    await conn.execute(
        "DELETE FROM revisions WHERE tenant_id = %s AND document_id = %s AND revision < %s",
        (ref.tenant_id, ref.document_id, ref.revision),
    )
    await conn.execute(
        "UPDATE documents SET live_revision = %s, passages = %s WHERE tenant_id = %s AND id = %s",
        (ref.revision, len(pieces), ref.tenant_id, ref.document_id),
    )
    await _forget_bytes(conn, ref)
    return True


async def due_revisions(conn: Conn, now: datetime, *, most: int) -> list[RevisionRef]:
    """What a worker should take up, of any tenant: queued and due, or held by a worker whose lease ran out."""
    cursor = await conn.execute("SELECT * FROM due_revisions(%s, %s)", (now, most))
    return [
        RevisionRef(
            tenant_id=TenantId(row["tenant_id"]),
            document_id=row["document_id"],
            revision=row["revision"],
            attempt=row["attempt"],
        )
        for row in await cursor.fetchall()
    ]


def vector_text(vector: Vector) -> str:
    """As pgvector reads it. All digits, though half precision keeps three of them: written so, it costs a tenth of the time."""
    return orjson.dumps(vector).decode()


async def _forget_bytes(conn: Conn, ref: RevisionRef) -> None:
    await conn.execute(
        "DELETE FROM uploads WHERE tenant_id = %s AND document_id = %s AND revision = %s",
        (ref.tenant_id, ref.document_id, ref.revision),
    )


def _key(ref: RevisionRef) -> dict[str, object]:
    return {"tenant_id": ref.tenant_id, "document_id": ref.document_id, "revision": ref.revision}


def _held(ref: RevisionRef, event: Event) -> tuple[object, ...]:
    """The key, the claim, and the states in which the event is possible, as the statements above compare them."""
    return ref.tenant_id, ref.document_id, ref.revision, ref.attempt, before(event)


def _only(row: DictRow | None) -> DictRow:
    if row is None:
        raise RuntimeError("a statement that always returns a row returned none")
    return row


def _document(row: DictRow) -> Document:
    return Document(
        document_id=row["id"],
        title=row["title"],
        source=Source(row["source"]),
        url=row["url"],
        live_revision=row["live_revision"],
        passages=row["passages"],
        revision=row["revision"],
        status=Status(row["status"]),
        reason=row["reason"],
        media_type=row["media_type"],
        bytes=row["bytes"],
        attempt=row["attempt"],
        created_at=row["created_at"],
        revised_at=row["revised_at"],
        finished_at=row["finished_at"],
    )
