"""Family 12: fences that are never closed, or whose language their text contradicts."""

from __future__ import annotations

from collections.abc import Iterator

from responder.core.defect import Defect, Weight
from responder.core.effect import Role
from responder.core.runbook import Kind
from responder.runbooks.fences import sniffed
from responder.runbooks.lint.subject import Subject

_JUDGED = frozenset({Kind.SQL, Kind.SHELL, Kind.PROMQL})


def check(subject: Subject) -> Iterator[Defect]:
    for runbook in subject.runbooks:
        for problem in runbook.problems:
            yield Defect(
                rule="fence/unclosed",
                weight=Weight.ERROR,
                file=runbook.path,
                line=problem.line,
                message=problem.message,
            )
    for place in subject.places(Role.DIAGNOSIS, Role.REMEDIATION, Role.PREVENTION):
        action = place.action
        if (
            action.guessed
            or action.kind not in _JUDGED
            or not action.statements
            or action.language == "inline"
        ):
            continue
        other = sniffed(action.text)
        if (
            other in _JUDGED
            and other is not action.kind
            and not any(s.effect == "read" for s in action.statements)
        ):
            yield Defect(
                rule="fence/language",
                weight=Weight.WARNING,
                file=place.runbook.path,
                line=action.line,
                message=f"the fence says {action.language}, and its text looks like {other}. Mend the language.",
                runbook_says=action.statements[0].text,
            )
