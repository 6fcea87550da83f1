"""outbox → person: a page is sent until it is confirmed; the same key in every try lets a receiver fold repeats."""

from __future__ import annotations

from enum import StrEnum

from responder.core.incident import UNANSWERED
from responder.core.page import Page, PageState
from responder.core.timeline import EntryKind
from responder.errors import SourceError
from responder.stages.ports import Outside
from responder.store import due, incidents, pages, timeline
from responder.store.due import Claim
from responder.telemetry import PAGE_DWELL, PAGES


class Result(StrEnum):
    SENT = "sent"
    WITHDRAWN = "withdrawn_because_answered"
    REFUSED = "refused_for_good"


async def run(outside: Outside, claim: Claim) -> None:
    """Sends one page. A passing failure is raised, so that the row is tried again; it is marked sent only after a 2xx."""
    async with outside.database.transaction() as conn:
        page = await pages.get(conn, claim.id)
        incident = await incidents.get(conn, page.incident_id)
    if incident.status not in UNANSWERED:
        await _close(outside, claim, page, Result.WITHDRAWN)
        return
    try:
        await outside.pagers[page.channel].send(page)
    except SourceError as error:
        if not error.permanent:
            raise
        await _close(outside, claim, page, Result.REFUSED, why=str(error))
    else:
        await _close(outside, claim, page, Result.SENT)


_STATE = {
    Result.SENT: (PageState.SENT, EntryKind.PAGE_SENT, "paged by"),
    Result.WITHDRAWN: (PageState.WITHDRAWN, EntryKind.PAGE_WITHDRAWN, "not paged, someone has answered:"),
    Result.REFUSED: (PageState.FAILED, EntryKind.PAGE_FAILED, "cannot be paged by"),
}


async def _close(outside: Outside, claim: Claim, page: Page, result: Result, *, why: str = "") -> None:
    state, kind, words = _STATE[result]
    now = outside.clock.now()
    async with outside.database.transaction() as conn:
        await incidents.get(conn, page.incident_id, lock=True)
        await pages.close(conn, page, state, now=now)
        await due.finish(conn, pages.QUEUE, claim)
        await timeline.append(
            conn,
            page.incident_id,
            kind,
            at=now,
            text=f"{page.person.capitalize()} {words} {page.channel}" + (f": {why}" if why else ""),
            data={
                "person": page.person,
                "channel": page.channel,
                "step": page.step,
                "key": page.idempotency_key,
                "attempt": claim.attempt,
            },
        )
    PAGES.labels(channel=page.channel, result=result).inc()
    if result is Result.SENT:
        PAGE_DWELL.observe((now - page.created_at).total_seconds())
