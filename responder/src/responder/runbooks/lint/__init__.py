"""The linter: each family of rules is a module with a `check`; this is their list. `words` answers more than what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from responder.core.defect import Comparison, Defect, Weight
from responder.errors import RunbookError
from responder.runbooks.lint import (
    alerting,
    commands,
    escalation,
    fences,
    links,
    matching,
    placeholders,
    promql,
    remedies,
    sql,
    words,
)
from responder.runbooks.lint.silence import silences
from responder.runbooks.lint.subject import Subject

FAMILIES: tuple[Callable[[Subject], Iterator[Defect]], ...] = (
    matching.check,
    links.check,
    promql.check,
    alerting.check,
    commands.check,
    remedies.check,
    placeholders.check,
    escalation.check,
    sql.check,
    fences.check,
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """`compared` counts the three answers of words against rules; `notes` say what could not be asked."""

    defects: tuple[Defect, ...]
    silenced: int
    compared: Mapping[Comparison, int]
    notes: tuple[str, ...]


def cannot_be_read(error: RunbookError) -> Defect:
    """A file of a folder that is no runbook, or no file of rules: told, while the others are checked."""
    return Defect(
        rule="file/unreadable", weight=Weight.ERROR, file=error.path, line=error.line, message=error.message
    )


def lint(
    subject: Subject, *, today: date, more: Iterable[Defect] = (), notes: tuple[str, ...] = ()
) -> Report:
    """Every defect, by file and line, without those that are silenced. `more` are those that only a live Prometheus shows."""
    held, wrong = silences(subject, today=today)
    answers = list(words.compare(subject))
    told = [answer.defect for answer in answers if answer.defect is not None]
    found = [*(defect for family in FAMILIES for defect in family(subject)), *told, *more]
    kept = [defect for defect in found if not any(silence.covers(defect) for silence in held)]
    return Report(
        defects=tuple(sorted({*kept, *wrong}, key=lambda d: (d.file, d.line, d.rule, d.message))),
        silenced=len(found) - len(kept),
        compared=Counter(answer.comparison for answer in answers),
        notes=notes,
    )
