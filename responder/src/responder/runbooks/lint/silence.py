"""Silencing a finding on purpose: a comment with an owner and an expiry, so that nothing is silent for ever.

In Markdown `<!-- check: ignore command/unbounded owner=sre until=2027-06-30 because … -->`, in a rule file the same after `#`.
It holds for the section or the rule that it stands in; before the first heading or group, for the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

from responder.core.defect import Defect, Weight
from responder.runbooks.lint.catalogue import RULES
from responder.runbooks.lint.subject import Subject

_COMMENT = re.compile(r"(?:<!--|#)\s*check:\s*ignore\b(?P<rest>.*?)(?:-->|$)")
_OWNER = re.compile(r"\bowner=(\S+)")
_UNTIL = re.compile(r"\buntil=(\S+)")
_RULE = re.compile(r"^\s*([\w-]+/[\w-]+)")


@dataclass(frozen=True, kw_only=True)
class Silence:
    """Holds for `rule` in `file` from `first` to `last`, both inside."""

    rule: str
    file: str
    first: int
    last: int

    def covers(self, defect: Defect) -> bool:
        return (self.rule, self.file) == (defect.rule, defect.file) and self.first <= defect.line <= self.last


def silences(subject: Subject, *, today: date) -> tuple[list[Silence], list[Defect]]:
    """Those that hold today, and what is wrong with the others."""
    held: list[Silence] = []
    wrong: list[Defect] = []
    for file, text, spans in _texts(subject):
        for number, row in enumerate(text.splitlines(), start=1):
            found = _COMMENT.search(row)
            if found is None:
                continue
            fault = _fault(found["rest"], today)
            if fault is not None:
                wrong.append(_defect(file, number, row, *fault))
                continue
            rule = _RULE.match(found["rest"])
            first, last = _span(number, spans, total=text.count("\n") + 1)
            held.append(Silence(rule=rule[1] if rule else "", file=file, first=first, last=last))
    return held, wrong


def _texts(subject: Subject) -> Iterator[tuple[str, str, Sequence[tuple[int, int]]]]:
    for runbook in subject.runbooks:
        yield runbook.path, runbook.text, [(entry.line, entry.end_line) for entry in runbook.alerts]
    for file in subject.files:
        # A comment above a rule is about it.
        yield file.path, file.text, [(rule.line - 2, rule.end_line) for rule in file.alerts]


def _span(number: int, spans: Sequence[tuple[int, int]], *, total: int) -> tuple[int, int]:
    return next(((first, last) for first, last in spans if first <= number <= last), (1, total))


def _fault(rest: str, today: date) -> tuple[str, str] | None:
    owner, until, rule = _OWNER.search(rest), _UNTIL.search(rest), _RULE.match(rest)
    if rule is None or owner is None or until is None:
        return "silence/incomplete", "write: check: ignore RULE owner=NAME until=YYYY-MM-DD because …"
    if rule[1] not in RULES:
        near = get_close_matches(rule[1], RULES, n=1)
        hint = f" Did you mean {near[0]}?" if near else " docs/reference/checks.md has them all."
        return "silence/unknown-rule", f"there is no rule {rule[1]}, so this silences nothing.{hint}"
    try:
        expires = date.fromisoformat(until[1])
    except ValueError:
        return "silence/incomplete", f"'{until[1]}' is not a date such as 2027-06-30."
    if expires < today:
        return "silence/expired", f"{owner[1]} silenced {rule[1]} until {expires}. Mend it, or decide anew."
    return None


def _defect(file: str, line: int, row: str, rule: str, message: str) -> Defect:
    return Defect(
        rule=rule, weight=Weight.WARNING, file=file, line=line, message=message, runbook_says=row.strip()
    )
