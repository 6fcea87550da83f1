"""Family 10: alerts without escalation, and roles that nobody can reach."""

from __future__ import annotations

import re
from collections.abc import Iterator

from responder.core.defect import Defect, Weight
from responder.core.runbook import EscalationRule
from responder.runbooks.lint.subject import Subject

_PAGED = frozenset({"page", "notify", "raise_severity"})
# Words that make no difference between two roles.
_FILLERS = frozenset({"the", "team", "rotation", "primary", "person", "engineer", "group", "member"})
_ON_CALL = frozenset({"on", "call", "oncall", "on-call"})


def check(subject: Subject) -> Iterator[Defect]:
    yield from _missing(subject)
    yield from _unreachable(subject)


def _missing(subject: Subject) -> Iterator[Defect]:
    """Only where most of the others have one: a collection that says nothing of it has its escalation elsewhere."""
    named = [(runbook, entry) for runbook, entry in subject.entries if entry.names]
    without = [(runbook, entry) for runbook, entry in named if not entry.escalation]
    if 2 * len(without) >= len(named):
        return
    for runbook, entry in without:
        yield Defect(
            rule="escalation/missing",
            weight=Weight.WARNING,
            file=runbook.path,
            line=entry.line,
            message=f"{', '.join(entry.names)} does not say who comes next when nobody answers. Add an Escalation section.",
        )


def _unreachable(subject: Subject) -> Iterator[Defect]:
    contacts = [contact for runbook in subject.runbooks for contact in runbook.contacts]
    if not contacts and not subject.people:
        return
    reachable = [_words(name) for name in (*(contact.role for contact in contacts), *subject.people)]
    rules = [rule for _, entry in subject.entries for rule in entry.escalation]
    if not any(_is_reachable(role, reachable) for rule in rules for role in _roles(rule)):
        # Contacts that name none of the roles are there for something else.
        return
    for runbook, entry in subject.entries:
        for rule in entry.escalation:
            missing = [role for role in _roles(rule) if not _is_reachable(role, reachable)]
            if missing:
                yield Defect(
                    rule="escalation/no-contact",
                    weight=Weight.WARNING,
                    file=runbook.path,
                    line=rule.line,
                    message=f"no contact for {', '.join(missing)}: at night, a title has no number. Add it to the contacts.",
                    runbook_says=rule.raw,
                )


def _roles(rule: EscalationRule) -> tuple[str, ...]:
    return rule.targets if rule.effect in _PAGED else ()


def _words(name: str) -> frozenset[str]:
    words = frozenset(re.findall(r"[a-z][a-z-]*", name.lower()))
    return frozenset({"on-call"}) if words & _ON_CALL else (words - _FILLERS or words)


def _is_reachable(role: str, reachable: list[frozenset[str]]) -> bool:
    wanted = _words(role)
    return any(wanted <= known for known in reachable)
