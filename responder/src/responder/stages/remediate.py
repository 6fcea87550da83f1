"""approval → action: preview, run once, verify, undo. This file is the only door through which the world is changed.

A claim that died in the middle is not simply run again. What is idempotent by HTTP's own rules (GET, PUT, DELETE) or
carries an idempotency key the target honours may be; anything else is left for a person, with what is known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from responder.core.incident import Event as IncidentEvent
from responder.core.incident import Incident, events_possible
from responder.core.remediation import (
    SQL,
    Event,
    Phase,
    Remediation,
    Request,
    State,
    approval_digest,
    by_phase,
    fields_at,
    unmet,
)
from responder.core.source import Answer, shortened
from responder.core.timeline import EntryKind
from responder.errors import SourceError
from responder.stages import answer
from responder.stages.ports import Outside
from responder.store import due, incidents, remediations, timeline
from responder.store.db import Conn
from responder.store.due import Claim
from responder.store.remediations import Note

REQUEST_LIMIT = timedelta(seconds=10)
SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
KEPT = 2_000
# How much of an answer a line of the timeline shows.
NOW_LIMIT = 160


async def run(outside: Outside, claim: Claim) -> None:
    """Does what one remediation's state asks for."""
    async with outside.database.transaction() as conn:
        item = await remediations.get(conn, claim.id)
        outside = outside.for_incident(await incidents.get(conn, item.incident_id)).with_answers(item.inputs)
    match item.state:
        case State.PREVIEWING:
            await _preview(outside, claim, item)
        case State.APPROVED:
            await _start(outside, claim, item)
        case State.RUNNING:
            await _resume(outside, claim, item)
        case State.VERIFYING:
            await _verify(outside, claim, item)
        case State.UNDOING:
            await _undo(outside, claim, item)
        case _:
            async with outside.database.transaction() as conn:
                await due.finish(conn, remediations.QUEUE, claim)


async def _preview(outside: Outside, claim: Claim, item: Remediation) -> None:
    if told := _secrets_in(outside, item):
        text = f"{item.label}: the answer to {told} holds a secret, and was not kept. Answer without it."
        await _end(outside, claim, item, Event.FAIL, text=text, note=Note(inputs={}))
        return
    try:
        runs = _would_run(outside, item)
        answers = [await _call(outside, request, item) for request in by_phase(item.requests, Phase.PREVIEW)]
    except SourceError as error:
        await _end(outside, claim, item, Event.FAIL, text=f"preview of '{item.label}' failed: {error}")
        return
    now_there = [_kept(outside, answer) for answer in answers]
    note = Note(
        preview={"would_run": runs, "now": now_there},
        digest=approval_digest(text=item.text, runs=runs, inputs=item.inputs, now=now_there),
        expires_at=outside.clock.now() + outside.policies.remediation.approval_lasts,
    )
    await _end(
        outside,
        claim,
        item,
        Event.PREVIEWED,
        note=note,
        text=f"{item.label}: would {'; '.join(runs)}; now {_now(item, answers)}",
    )


def _secrets_in(outside: Outside, item: Remediation) -> str:
    """The names of the answers that hold a secret's value: what a person types is shown and told, which no secret may be."""
    redact = outside.policies.bindings.redact
    return ", ".join(name for name, answer in item.inputs.items() if redact(answer) != answer)


def _would_run(outside: Outside, item: Remediation) -> list[str]:
    """The requests as they will be sent, with secrets hidden. Raises SourceRefused for a name that has no value."""
    seen = outside.policies.bindings.hidden()
    return [
        f"{SQL} {seen.statement(r.body or '')}"
        if r.method == SQL
        else f"{r.method} {seen.url(r.url)} {seen.body(r.body or '', media_type=r.media_type)}".strip()
        for r in by_phase(item.requests, Phase.RUN)
    ]


def _is_as_approved(outside: Outside, item: Remediation) -> bool:
    """Whether what would run now, with the policies and answers as they are now, is what the person saw."""
    try:
        runs = _would_run(outside, item)
    except SourceError:
        return False
    now_there = item.preview["now"] if item.preview else None
    return item.digest == approval_digest(text=item.text, runs=runs, inputs=item.inputs, now=now_there)


def _now(item: Remediation, answers: Sequence[Answer]) -> str:
    """The present state in a few words: what the verification will look at, else the beginning of the answer."""
    expects = [expect for request in by_phase(item.requests, Phase.VERIFY) for expect in request.expects]
    seen = [fields_at(expects, answer.body) or (shortened(answer.text, NOW_LIMIT),) for answer in answers]
    return "; ".join(part for parts in seen for part in parts) or "nothing to look at first"


async def _start(outside: Outside, claim: Claim, item: Remediation) -> None:
    now = outside.clock.now()
    if item.expires_at is None or item.expires_at <= now:
        await _end(
            outside, claim, item, Event.EXPIRE, text=f"{item.label}: the approval ran out before it could run"
        )
        return
    if not _is_as_approved(outside, item):
        text = f"{item.label}: what would run now is not what was approved; nothing was changed. Look again, then decide"
        await _end(outside, claim, item, Event.EXPIRE, text=text)
        return
    async with outside.database.transaction() as conn:
        await incidents.get(conn, item.incident_id, lock=True)
        # From here on the row says that the change may have happened, whatever becomes of this process.
        running = await remediations.change(conn, item, Event.START, now=now, keep_due=True)
    await _change_world(outside, claim, running)


async def _resume(outside: Outside, claim: Claim, item: Remediation) -> None:
    if all(request.method in SAFE_TO_REPEAT for request in by_phase(item.requests, Phase.RUN)):
        await _change_world(outside, claim, item)
        return
    text = f"{item.label}: the worker died while it ran; it may have happened. Look before doing it again."
    await _end(outside, claim, item, Event.FAIL, text=text)


async def _change_world(outside: Outside, claim: Claim, item: Remediation) -> None:
    try:
        answers = [await _call(outside, request, item) for request in by_phase(item.requests, Phase.RUN)]
    except SourceError as error:
        await _end(outside, claim, item, Event.FAIL, text=f"{item.label}: {error}")
        return
    kept = [_kept(outside, answer) for answer in answers]
    refused = [answer for answer in kept if answer["status"] >= 400]
    if refused:
        text = (
            f"{item.label}: refused with {refused[0]['status']}: {shortened(refused[0]['text'], NOW_LIMIT)}"
        )
        await _end(outside, claim, item, Event.FAIL, text=text, note=Note(result={"answers": kept}))
        return
    text = f"{item.label}: done, {'; '.join(str(answer['status']) for answer in kept)}"
    await _end(outside, claim, item, Event.RAN, text=text, note=Note(result={"answers": kept}))


async def _verify(outside: Outside, claim: Claim, item: Remediation) -> None:
    problems: list[str] = []
    checks = by_phase(item.requests, Phase.VERIFY)
    try:
        for request in checks:
            problems += _judge(request, await _call(outside, request, item))
    except SourceError as error:
        problems.append(str(error))
    if problems:
        await _end(
            outside, claim, item, Event.FAIL, text=f"{item.label}: not verified: {'; '.join(problems)}"
        )
        return
    seen = "; ".join(f"{e.field} = {e.value}" for r in checks for e in r.expects) or "the target answers"
    await _end(outside, claim, item, Event.VERIFIED, text=f"{item.label}: verified, {seen}")


async def _undo(outside: Outside, claim: Claim, item: Remediation) -> None:
    try:
        answers = [await _call(outside, request, item) for request in by_phase(item.requests, Phase.UNDO)]
    except SourceError as error:
        await _end(outside, claim, item, Event.FAIL, text=f"undo of '{item.label}' failed: {error}")
        return
    bad = [answer for answer in answers if answer.status >= 400]
    if bad or not answers:
        why = f"refused with {bad[0].status}" if bad else "the runbook says no way to undo it"
        await _end(outside, claim, item, Event.FAIL, text=f"undo of '{item.label}' failed: {why}")
        return
    await _end(outside, claim, item, Event.UNDONE, text=f"{item.label}: undone")


def _judge(request: Request, answer: Answer) -> Sequence[str]:
    if answer.status >= 400:
        return (f"{request.method} answers {answer.status}",)
    return unmet(request.expects, answer.body)


async def _call(outside: Outside, request: Request, item: Remediation) -> Answer:
    """One request with its values put in, under a key that is the same in every try of this approval."""
    bindings = outside.policies.bindings
    if request.method == SQL:
        return await _statement(outside, request)
    headers = {name: bindings.header(value) for name, value in request.headers.items()}
    headers["Idempotency-Key"] = f"remediation-{item.id}-{request.phase}-{(item.digest or '')[:16]}"
    url = bindings.url(request.url)
    body = bindings.body(request.body, media_type=request.media_type) if request.body else None
    if request.phase in {Phase.PREVIEW, Phase.VERIFY}:
        return await outside.http.read(url, headers=headers, timeout=REQUEST_LIMIT)
    return await outside.http.send(request.method, url, headers=headers, body=body, timeout=REQUEST_LIMIT)


async def _statement(outside: Outside, request: Request) -> Answer:
    """A statement's answer as that of an endpoint: the first row's columns are its fields, `rows` their number."""
    text, values = outside.policies.bindings.parameters(request.body or "")
    looks = request.phase in {Phase.PREVIEW, Phase.VERIFY}
    run = outside.target.query if looks else outside.target.change
    table = await run(text, values, timeout=REQUEST_LIMIT)
    first = table.rows[0] if table.rows else ()
    body = {"rows": len(table.rows), **dict(zip(table.columns, map(_json, first), strict=False))}
    return Answer(status=200, text=table.text() if table.rows else "no rows", body=body, seconds=0.0)


def _json(cell: str | None) -> Any:
    """A number as a number, so that `# expect count = 0` means what it says."""
    try:
        return json.loads(cell) if cell is not None else None
    except ValueError:
        return cell


def _kept(outside: Outside, answer: Answer) -> dict[str, Any]:
    text = outside.policies.bindings.redact(answer.text)[:KEPT]
    return {"status": answer.status, "text": text}


_TOLD = {
    Event.PREVIEWED: EntryKind.REMEDIATION_PREVIEWED,
    Event.RAN: EntryKind.REMEDIATION_RUN,
    Event.VERIFIED: EntryKind.REMEDIATION_VERIFIED,
    Event.UNDONE: EntryKind.REMEDIATION_UNDONE,
    Event.EXPIRE: EntryKind.REMEDIATION_WITHDRAWN,
    Event.FAIL: EntryKind.REMEDIATION_FAILED,
}


async def _end(
    outside: Outside, claim: Claim, item: Remediation, event: Event, *, text: str, note: Note | None = None
) -> None:
    """Ends the claim, moves the state and tells of it. A remedy withdrawn meanwhile keeps its state; what was done is told."""
    now = outside.clock.now()
    async with outside.database.transaction() as conn:
        incident = await incidents.get(conn, item.incident_id, lock=True)
        current = await remediations.get(conn, item.id)
        await due.finish(conn, remediations.QUEUE, claim)
        if current.state is item.state:
            await remediations.change(conn, current, event, now=now, note=note)
        await timeline.append(
            conn,
            item.incident_id,
            _TOLD[event],
            at=now,
            text=outside.policies.bindings.redact(text),
            data={"remediation": item.id, "approved_by": item.approved_by},
        )
        if event is Event.VERIFIED and item.approved_by:
            await _mitigated(conn, outside, incident, item, person=item.approved_by)


async def _mitigated(
    conn: Conn, outside: Outside, incident: Incident, item: Remediation, *, person: str
) -> None:
    if IncidentEvent.MITIGATE in events_possible(incident):
        await answer.mitigated(conn, outside, incident, person=person, text=f"mitigated by: {item.label}")
