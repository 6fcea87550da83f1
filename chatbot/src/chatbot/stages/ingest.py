"""A queued revision → passages that answer. Every step compares the claim: whoever lost it changes nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.caller import Caller, CallerKind
from chatbot.core.documents import MOST_ATTEMPTS, MOST_PASSAGES, Event, MediaType, RevisionRef, Taken, backoff
from chatbot.core.passages import Piece, Vector, embedded_text
from chatbot.core.pieces import cut
from chatbot.core.tenancy import Tenant
from chatbot.core.violation import Source as Seen
from chatbot.errors import ChatbotError, ConfigError, DocumentRefused, EmbeddingFailed
from chatbot.stages.ports import Outside, now_of
from chatbot.stages.read import read
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.audit import add_entry
from chatbot.store.corpora import corpus_of
from chatbot.store.documents import keep_hold, make_live, note_failed, note_parsed, note_retry, take
from chatbot.store.embedding_models import hold_model
from chatbot.telemetry import DOCUMENTS, INGEST_SECONDS

log = structlog.get_logger()

# Passages embedded between two looks at the lease.
STRIDE = 32
MOST_ASKED = timedelta(hours=1)


class LostHold(Exception):
    """Somebody else has the revision now, or it is gone: what was made of it is dropped."""


async def ingest(outside: Outside, ref: RevisionRef) -> Event | None:
    """Does the job that `ref` names, if it is still to be done. How it went; None: there was nothing to do."""
    async with outside.database.tenant(ref.tenant_id) as conn:
        taken = await take(conn, ref, now_of(outside.clocks))
    if taken is None:
        return None
    caller = Caller(tenant=Tenant(tenant_id=ref.tenant_id, name=""), actor=taken.actor, kind=CallerKind.ADMIN)
    await withhold_foreign(outside, caller, [taken.ref.tenant_id], source=Seen.JOB)
    if taken.tries > MOST_ATTEMPTS:
        # Each time before, the worker ended before it could say why.
        return await _fail(outside, taken, f"Reading it ended the worker {MOST_ATTEMPTS} times.")
    try:
        with INGEST_SECONDS.time():
            return await _make_passages(outside, taken)
    except LostHold:
        log.info("ingest_superseded", **_named(taken))
        return None
    except DocumentRefused as error:
        return await _fail(outside, taken, str(error))
    except asyncio.CancelledError:
        # The worker is being stopped: the next one need not wait for the lease to run out.
        await _give_back(outside, taken)
        raise
    except Exception as error:
        if not isinstance(error, ChatbotError):
            log.exception("ingest_broke", **_named(taken))
        return await _retry(outside, taken, error)


async def _make_passages(outside: Outside, taken: Taken) -> Event:
    found = await read(outside, taken)
    if found is None:
        raise LostHold
    blocks, media_type = found
    pieces = await asyncio.to_thread(cut, blocks, outside.embedder.tokens)
    _check(pieces, media_type)
    tenant_id = taken.ref.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        now = now_of(outside.clocks)
        if not await note_parsed(conn, taken.ref, media_type=media_type, passages=len(pieces), now=now):
            raise LostHold
    vectors = await _embed(outside, taken, pieces)
    async with outside.database.tenant(tenant_id) as conn:
        model = outside.embedder.name
        await hold_model(conn, model)
        shelf = (await corpus_of(conn, tenant_id)).shelf
        if not await make_live(
            conn, taken.ref, pieces, vectors, shelf=shelf, model=model, now=now_of(outside.clocks)
        ):
            raise LostHold
        await add_entry(conn, _entry(taken, AuditEvent.DOCUMENT_READY, passages=len(pieces)))
    DOCUMENTS.labels(result=Event.EMBEDDED).inc()
    log.info("document_ready", passages=len(pieces), **_named(taken))
    return Event.EMBEDDED


def _check(pieces: list[Piece], media_type: MediaType) -> None:
    if not pieces and media_type is MediaType.PDF:
        raise DocumentRefused(
            "It holds no text: scanned pages are pictures. Run text recognition over it first."
        )
    if not pieces:
        raise DocumentRefused("It holds no text: there is nothing to answer from.")
    if len(pieces) > MOST_PASSAGES:
        raise DocumentRefused(
            f"It is too long: {len(pieces)} passages, at most {MOST_PASSAGES} fit into one document. Split it."
        )


async def _embed(outside: Outside, taken: Taken, pieces: list[Piece]) -> list[Vector]:
    """The vectors of the pieces. The lease is prolonged as the work goes on."""
    vectors: list[Vector] = []
    for start in range(0, len(pieces), STRIDE):
        texts = [embedded_text(piece) for piece in pieces[start : start + STRIDE]]
        vectors += await outside.embedder.embed(texts)
        async with outside.database.tenant(taken.ref.tenant_id) as conn:
            if not await keep_hold(conn, taken.ref, now_of(outside.clocks)):
                raise LostHold
    return vectors


async def _fail(outside: Outside, taken: Taken, reason: str) -> Event | None:
    async with outside.database.tenant(taken.ref.tenant_id) as conn:
        if not await note_failed(conn, taken.ref, reason=reason, now=now_of(outside.clocks)):
            return None
        await add_entry(conn, _entry(taken, AuditEvent.DOCUMENT_FAILED, reason=reason))
    DOCUMENTS.labels(result=Event.FAIL).inc()
    log.warning("document_failed", reason=reason, **_named(taken))
    return Event.FAIL


async def _retry(outside: Outside, taken: Taken, error: Exception) -> Event | None:
    """Later again, unless it was the last attempt. Whoever reads the reason is told nothing of our insides.

    While there are no embeddings the document waits, for as long as it takes: it is not at fault.
    """
    excused = isinstance(error, EmbeddingFailed | ConfigError)
    known = isinstance(error, ChatbotError)
    reason = str(error) if known else "The program failed while reading it; its log says more."
    if taken.tries >= MOST_ATTEMPTS and not excused:
        return await _fail(outside, taken, f"{reason} Tried {taken.tries} times.")
    due_at = now_of(outside.clocks) + _wait_after(taken, error)
    async with outside.database.tenant(taken.ref.tenant_id) as conn:
        if not await note_retry(conn, taken.ref, reason=reason, due_at=due_at, excused=excused):
            return None
    DOCUMENTS.labels(result=Event.RETRY).inc()
    log.warning("document_tried_again", reason=reason, due_at=due_at.isoformat(), **_named(taken))
    return Event.RETRY


def _wait_after(taken: Taken, error: Exception) -> timedelta:
    """Longer with each attempt, and at least as long as a service asks for, which may not ask for ever."""
    asked = timedelta(seconds=(error.after if isinstance(error, EmbeddingFailed) else None) or 0.0)
    return max(backoff(taken.ref.attempt), min(asked, MOST_ASKED))


async def _give_back(outside: Outside, taken: Taken) -> None:
    async with outside.database.tenant(taken.ref.tenant_id) as conn:
        reason = "The worker was stopped in the middle."
        await note_retry(conn, taken.ref, reason=reason, due_at=now_of(outside.clocks), excused=True)


def _named(taken: Taken) -> dict[str, object]:
    return {
        "tenant_id": str(taken.ref.tenant_id),
        "document_id": str(taken.ref.document_id),
        "revision": taken.ref.revision,
        "attempt": taken.ref.attempt,
    }


def _entry(taken: Taken, event: AuditEvent, **detail: object) -> AuditEntry:
    named = {"document": str(taken.ref.document_id), "title": taken.title, "revision": taken.ref.revision}
    return AuditEntry(
        event=event, actor=taken.actor, tenant_id=taken.ref.tenant_id, detail={**named, **detail}
    )
