"""Family 1: alerts without an entry, entries without an alert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from responder.core.defect import Defect, Weight
from responder.core.rule import AlertRule
from responder.core.runbook import AlertEntry, Runbook
from responder.runbooks.expressions import parsed, selectors
from responder.runbooks.lint.subject import Subject


def check(subject: Subject) -> Iterator[Defect]:
    """Only where there are rules to compare with."""
    if not subject.files:
        return
    told: set[str] = set()
    for rule in subject.rules:
        # A page without a section for the alert may be about it as a whole; a broken anchor is told by `links`.
        led = subject.entry_of(rule) is not None or subject.page_of(rule) is not None
        if not led and rule.name not in told and not _always_fires(rule.expr):
            told.add(rule.name)
            yield Defect(
                rule="alert/no-entry",
                weight=Weight.ERROR,
                file=rule.file,
                line=rule.line,
                message=_no_entry(rule),
                rule_says=rule.expr,
            )
    names = {rule.name.lower() for rule in subject.rules}
    for runbook, entry in subject.entries:
        led = subject.rules_of(entry) or names & {n.lower() for n in entry.names}
        if entry.names and not led and _is_about_alerts(runbook, entry):
            yield Defect(
                rule="alert/no-rule",
                weight=Weight.ERROR,
                file=runbook.path,
                line=entry.line,
                message=f"No rule fires {', '.join(entry.names)}: nobody will be sent here. Write the rule, or mend the name.",
                runbook_says=", ".join(entry.names),
            )


def _is_about_alerts(runbook: Runbook, entry: AlertEntry) -> bool:
    """Whether its names are surely those of alerts: written as a fact, as the file's name, or of several words in one.

    A heading such as PostgreSQL looks like one as well.
    """
    written = any(meta.key == "alert" for meta in entry.meta) and all(map(_NAME.match, entry.names))
    return written or any(
        name == Path(runbook.path).stem or len(_HUMPS.findall(name)) > 2 for name in entry.names
    )


# Words in small letters with hyphens are what groups and services are called.
_NAME = re.compile(r"^(?=.*[A-Z_])[\w:-]+$")
_HUMPS = re.compile(r"[A-Z][a-z0-9]+")


def _no_entry(rule: AlertRule) -> str:
    page = rule.runbook_url
    if page and "{{" not in page:
        return f"{rule.name} links to {page}, which is not among these runbooks. Write its section, or mend the link."
    return f"no runbook says what to do about {rule.name}. Write its section."


def _always_fires(expr: str) -> bool:
    """A watchdog: what it says is that the chain of alerts works, so it has nothing to be done about."""
    tree = parsed(expr)
    return tree is not None and not any(True for _ in selectors(tree))
