"""incident → evidence: one step of the runbook, measured, judged, redacted, recorded. Steps run side by side."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from responder.core.evidence import Judgement, Measurement, Outcome, Verdict
from responder.core.timeline import EntryKind
from responder.errors import SourceError, SourceUnavailable
from responder.stages import measure
from responder.stages.ports import Outside
from responder.store import diagnoses, due, evidence, incidents, timeline
from responder.store.due import Claim
from responder.store.evidence import Task

# A step that has not answered by then is recorded as such: the picture must not wait for it.
STEP_LIMIT = timedelta(seconds=10)


async def run(outside: Outside, claim: Claim) -> None:
    """Runs one step and records what it gave, also when that is nothing."""
    async with outside.database.transaction() as conn:
        task = await evidence.task(conn, claim.id)
        outside = outside.for_incident(await incidents.get(conn, task.evidence.incident_id))
    started = outside.clock.now()
    measured = await take(outside, task)
    ended = outside.clock.now()
    step = task.evidence
    async with outside.database.transaction() as conn:
        # The lock makes "am I the last?" a question with one answer.
        await incidents.get(conn, step.incident_id, lock=True)
        await due.finish(conn, evidence.QUEUE, claim)
        await evidence.record(conn, step.id, measured, started_at=started, ended_at=ended)
        await timeline.append(
            conn,
            step.incident_id,
            EntryKind.EVIDENCE_RECORDED,
            at=ended,
            text=f"{step.step_number} {step.step_title}: {measured.verdict.text}",
            data={
                "key": step.key,
                "line": step.line,
                "outcome": measured.outcome,
                "judgement": measured.verdict.judgement,
                "seconds": round((ended - started).total_seconds(), 3),
            },
        )
        if await evidence.unfinished(conn, step.incident_id) == 0:
            await diagnoses.schedule(conn, step.incident_id, now=ended)


async def take(outside: Outside, task: Task) -> Measurement:
    """Measures a step. A source that fails is an outcome, never an exception: the others must not suffer from it."""
    try:
        async with asyncio.timeout(STEP_LIMIT.total_seconds()):
            return await measure.take(outside, task.evidence.kind, task.probe, limit=STEP_LIMIT)
    except TimeoutError:
        return _lost(Outcome.TIMEOUT, f"no answer within {STEP_LIMIT.total_seconds():.0f} s")
    except SourceUnavailable as error:
        return _lost(Outcome.ERROR, outside.policies.bindings.redact(str(error)))
    except SourceError as error:
        return _lost(Outcome.REFUSED, outside.policies.bindings.redact(str(error)))


def _lost(outcome: Outcome, why: str) -> Measurement:
    return Measurement(
        outcome=outcome, verdict=Verdict(judgement=Judgement.UNKNOWN, text=why), output="", data={}
    )
