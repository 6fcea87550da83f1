"""The process clock: by when an incident must be acknowledged, assessed, mitigated, resolved, reviewed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from responder.core.incident import Severity, Status


class Milestone(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    ASSESS = "assess"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"
    REVIEW = "review"


# A milestone is met by its own status and by every one that lies beyond it.
_ORDER = (Status.ACKNOWLEDGED, Status.ASSESSED, Status.MITIGATED, Status.RESOLVED, Status.REVIEWED)
_MILESTONES = tuple(Milestone)

# The words that the process headings of runbooks use, and the milestone they mean.
_WORDS = {
    "acknowledge": Milestone.ACKNOWLEDGE,
    "assess": Milestone.ASSESS,
    "triage": Milestone.ASSESS,
    "mitigate": Milestone.MITIGATE,
    "resolve": Milestone.RESOLVE,
    "post-mortem": Milestone.REVIEW,
    "postmortem": Milestone.REVIEW,
    "review": Milestone.REVIEW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """`due_at` counts from the opening; that of the review from the resolution, so it is set when that comes."""

    milestone: Milestone
    limit: timedelta
    due_at: datetime


def milestone_named(stage_name: str) -> Milestone | None:
    """The milestone that a process heading speaks of, or None."""
    words = stage_name.lower()
    return next((milestone for word, milestone in _WORDS.items() if word in words), None)


def met_by(status: Status) -> frozenset[Milestone]:
    """The milestones that an incident in `status` has behind it."""
    if status not in _ORDER:
        return frozenset()
    return frozenset(_MILESTONES[: _ORDER.index(status) + 1])


def applies(applies_to: str | None, severity: Severity) -> bool:
    """Whether a stage's "for P0" includes `severity`; a stage that names none is for all."""
    return applies_to is None or applies_to == severity
