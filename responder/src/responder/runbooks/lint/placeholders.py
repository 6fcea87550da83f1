"""Family 9: placeholders without a value, and secrets on a command line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from responder.core.defect import Defect, Weight
from responder.core.effect import Role
from responder.core.runbook import RUNNABLE, Kind, squash
from responder.runbooks.lint.subject import Place, Subject

_SECRET = re.compile(
    r"authorization:|\b(?:x-api-key|api[-_]?key|token|password|passwd|secret)[\"']?\s*[:=]\s*[^\s$<(\"']"
    r"|--(?:password|token|secret)[= ]\S|\$\{?\w*(?:KEY|TOKEN|PASSWORD|PASSWD|SECRET)\b|\bcurl\b.*\s-u\s*\S+:\S"
    r"|\bredis-cli\b.*\s-a\s*\S|\b(?:psql|redis-cli|mysql|mongo\w*)\b.*\$\{?\w*(?:URL|URI|DSN)\b|\bmysql\b.*\s-p\S"
    r"|://[^\s/:@]+:[^\s/@]+@",
    re.IGNORECASE,
)


def check(subject: Subject) -> Iterator[Defect]:
    for place in subject.places(Role.DIAGNOSIS, Role.REMEDIATION):
        yield from _unbound(place, subject)
        yield from _secrets(place)


def _unbound(place: Place, subject: Subject) -> Iterator[Defect]:
    if place.action.kind not in RUNNABLE or place.action.guessed:
        return
    missing = [
        placeholder.raw
        for placeholder in place.action.placeholders
        if placeholder.name not in subject.bound and not _from_alert(placeholder.name, place, subject)
    ]
    if missing:
        yield Defect(
            rule="placeholder/unbound",
            weight=Weight.WARNING,
            file=place.runbook.path,
            line=_line(place, missing[0]),
            message=f"no value for {', '.join(missing)}, so this cannot run. Bind it in policies/bindings.toml.",
            runbook_says=_row(place, missing[0]),
        )


def _from_alert(name: str, place: Place, subject: Subject) -> bool:
    """The labels of the alert give a value: those that its rules set or group by."""
    rules = subject.rules_of(place.entry)
    labels = {squash(label) for rule in rules for label in rule.labels}
    for rule in rules:
        for found in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", rule.expr):
            labels |= {squash(label) for label in found.split(",")}
    return squash(re.sub(r"^(?:\$?labels\.)", "", name)) in labels - {""}


def _line(place: Place, raw: str) -> int:
    for number, row in enumerate(place.action.text.splitlines(), start=place.action.line):
        if raw in row:
            return number
    return place.action.line


def _row(place: Place, raw: str) -> str:
    return next(
        (row.strip() for row in place.action.text.splitlines() if raw in row), place.action.text.strip()
    )


def _secrets(place: Place) -> Iterator[Defect]:
    if place.action.kind is not Kind.SHELL:
        return
    for statement in place.action.statements:
        if _SECRET.search(statement.text):
            yield Defect(
                rule="secret/command-line",
                weight=Weight.ERROR,
                file=place.runbook.path,
                line=statement.line,
                message="a secret among the arguments is in `ps`, in the shell's history and in the evidence."
                " Bind it as a secret, or write an http or sql block.",
                runbook_says=statement.text,
            )
