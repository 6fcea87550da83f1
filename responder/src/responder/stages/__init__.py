"""The verbs of an incident, in the order the work flows. This list is the flow: the worker runs it as it stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from responder.stages import (
    communicate,
    deliver,
    diagnose,
    escalate,
    investigate,
    remediate,
    remind,
    resolve,
    review,
    triage,
)
from responder.stages.ports import Outside
from responder.store import (
    alerts,
    deadlines,
    diagnoses,
    escalations,
    evidence,
    pages,
    postmortems,
    recoveries,
    status_updates,
)
from responder.store import remediations as remediation_rows
from responder.store.due import Claim, Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One verb: the rows it works on, how many of them side by side, and how long one may take.

    A row that fails is tried again after `retry`, doubled each time up to `retry_most`.
    """

    name: str
    queue: Queue
    run: Callable[[Outside, Claim], Awaitable[None]]
    side_by_side: int
    limit: timedelta
    retry: timedelta = timedelta(seconds=1)
    retry_most: timedelta = timedelta(seconds=60)


_SHORT = timedelta(seconds=15)

STAGES: tuple[Stage, ...] = (
    Stage(name="triage", queue=alerts.QUEUE, run=triage.run, side_by_side=4, limit=_SHORT),
    Stage(
        name="investigate",
        queue=evidence.QUEUE,
        run=investigate.run,
        side_by_side=16,
        limit=timedelta(seconds=20),
    ),
    Stage(name="diagnose", queue=diagnoses.QUEUE, run=diagnose.run, side_by_side=2, limit=_SHORT),
    Stage(name="escalate", queue=escalations.QUEUE, run=escalate.run, side_by_side=4, limit=_SHORT),
    Stage(name="deliver", queue=pages.QUEUE, run=deliver.run, side_by_side=8, limit=_SHORT),
    Stage(name="remind", queue=deadlines.QUEUE, run=remind.run, side_by_side=2, limit=_SHORT),
    Stage(
        name="remediate",
        queue=remediation_rows.QUEUE,
        run=remediate.run,
        side_by_side=2,
        limit=timedelta(seconds=45),
    ),
    Stage(name="communicate", queue=status_updates.QUEUE, run=communicate.run, side_by_side=1, limit=_SHORT),
    Stage(
        name="resolve", queue=recoveries.QUEUE, run=resolve.run, side_by_side=2, limit=timedelta(seconds=40)
    ),
    Stage(name="review", queue=postmortems.QUEUE, run=review.run, side_by_side=1, limit=_SHORT),
)
