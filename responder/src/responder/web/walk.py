"""The runbook's own steps, as they were when the incident opened, each with the evidence that belongs to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from responder.core.evidence import Evidence
from responder.core.incident import Incident
from responder.core.runbook import AlertEntry
from responder.runbooks.reader import parse_runbook

_MARKS = re.compile(r"\*\*|`")


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkedStep:
    """A step with its sentences for people and what was measured for it."""

    number: str
    title: str
    line: int
    points: tuple[str, ...]
    evidence: tuple[Evidence, ...]


@lru_cache(maxsize=16)
def _entry(text: str, slug: str) -> AlertEntry | None:
    # A revision never changes, and parsing takes some 20 ms: too long for every refresh of an open page.
    return next((entry for entry in parse_runbook(text, path="").alerts if entry.slug == slug), None)


def entry_of(incident: Incident, text: str | None) -> AlertEntry | None:
    """The entry that the incident runs by, from the revision stamped on it."""
    if text is None or incident.runbook_entry is None:
        return None
    return _entry(text, incident.runbook_entry)


def walk(entry: AlertEntry | None, evidence: Sequence[Evidence]) -> list[WalkedStep]:
    """The steps in the runbook's order. Evidence is found by its key, which begins with that of its step."""
    steps = entry.steps if entry else ()
    return [
        WalkedStep(
            number=step.number,
            title=step.title,
            line=step.line,
            points=tuple(plain for point in step.points if (plain := _MARKS.sub("", point)) != step.title),
            evidence=tuple(item for item in evidence if item.key.startswith(f"step-{position}.")),
        )
        for position, step in enumerate(steps, start=1)
    ]
