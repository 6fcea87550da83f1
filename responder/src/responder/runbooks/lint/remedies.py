"""Family 8: remedies without preview, scope or undo, that destroy evidence, or whose call contradicts their words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from responder.core.defect import Defect, Weight
from responder.core.effect import Effect, Role, Statement
from responder.core.remediation import Phase
from responder.core.runbook import AlertEntry, Kind, RemediationGroup, Runbook
from responder.runbooks.lint.subject import Place, Subject


def check(subject: Subject) -> Iterator[Defect]:
    for place in subject.places(Role.REMEDIATION):
        if place.action.requests:
            yield from _phases(place)
        elif place.action.kind is Kind.SQL:
            yield from _unseen(place)
        for statement in place.action.statements:
            yield from _scope(place, statement)
    for place in subject.places(Role.DIAGNOSIS, Role.REMEDIATION):
        if place.action.kind in {Kind.CODE, Kind.SHELL}:
            yield from _contradiction(place)
    for runbook, entry in subject.entries:
        for group in entry.remediation:
            yield from _restarts(runbook, entry, group)


# Some things have no way back; then the words have to say so.
_NO_WAY_BACK = re.compile(r"\bcannot be undone\b|\bno way back\b|\birreversible\b", re.IGNORECASE)


def _phases(place: Place) -> Iterator[Defect]:
    phases = {request.phase for request in place.action.requests}
    if Phase.RUN not in phases:
        return
    for phase, why in (
        (Phase.PREVIEW, "nobody sees what it would change before approving it"),
        (Phase.VERIFY, "nobody knows whether it worked"),
        (Phase.UNDO, "there is no way back"),
    ):
        if phase is Phase.UNDO and _NO_WAY_BACK.search(place.words):
            continue
        if phase not in phases:
            yield Defect(
                rule=f"remedy/no-{phase}",
                weight=Weight.WARNING,
                file=place.runbook.path,
                line=place.action.line,
                message=f"without a part named {phase.title()}, {why}. Add it, or say that it cannot be undone."
                if phase is Phase.UNDO
                else f"without a part named {phase.title()}, {why}. Add it.",
                runbook_says=place.action.requests[0].url or None,
            )


_CHANGES_ROWS = re.compile(
    r"\b(?:update\s+[\w.\"]+\s+set|delete\s+from|truncate|drop\s+(?:table|database|schema)|pg_(?:terminate|cancel)_backend)\b",
    re.IGNORECASE,
)


def _unseen(place: Place) -> Iterator[Defect]:
    """SQL that changes rows or ends sessions, with nothing that lists them first. One finding for a block."""
    changing = [
        s for s in place.action.statements if s.effect is Effect.MUTATE and _CHANGES_ROWS.search(s.text)
    ]
    if changing and not place.action.guessed:
        yield Defect(
            rule="remedy/no-preview",
            weight=Weight.WARNING,
            file=place.runbook.path,
            line=changing[0].line + _first_row(changing[0]),
            message="nobody sees what it would hit before approving it. Begin its parts with -- Preview, -- Run, -- Verify.",
            runbook_says=changing[0].text.splitlines()[_first_row(changing[0])].strip(),
        )


def _first_row(statement: Statement) -> int:
    """The first that is no comment, counted from 0."""
    rows = statement.text.splitlines()
    return next((n for n, row in enumerate(rows) if row.strip() and not row.lstrip().startswith("--")), 0)


_TERMINATE = re.compile(r"pg_(?:terminate|cancel)_backend\s*\(\s*(?!\d)", re.IGNORECASE)
_WHOLE = re.compile(
    r"^\s*(?:update\b(?!.*\bwhere\b)|delete\s+from\b(?!.*\bwhere\b)|truncate\b|drop\s+(?:table|database|schema)\b)",
    re.IGNORECASE | re.DOTALL,
)
_WHOLE_SHELL = re.compile(
    r"\brm\s+-\w*r\w*\s+(?:-\w+\s+)*(?:/|/\*|~|\*)(?:\s|$)|\bflush(?:all|db)\b|\bkubectl\s+delete\b.*\s--all(?:\s|$)"
    r"|\bdocker\s+system\s+prune\b.*-a",
    re.IGNORECASE,
)


def _scope(place: Place, statement: Statement) -> Iterator[Defect]:
    rows = statement.text.splitlines()
    at = _first_row(statement)

    def defect(rule: str, message: str) -> Defect:
        return Defect(
            rule=rule,
            weight=Weight.ERROR,
            file=place.runbook.path,
            line=statement.line + at,
            message=message,
            runbook_says=rows[at].strip(),
        )

    text = "\n".join(row.partition("--")[0] if place.action.kind is Kind.SQL else row for row in rows)
    if place.action.kind is Kind.SQL:
        missing = [
            guard
            for guard, pattern in (
                ("backend_type = 'client backend'", r"backend_type\s*=\s*'client backend'"),
                ("pid <> pg_backend_pid()", r"pid\s*(?:<>|!=)\s*pg_backend_pid\s*\(\s*\)"),
            )
            if _TERMINATE.search(text) and not re.search(pattern, text, re.IGNORECASE)
        ]
        if missing:
            yield defect(
                "remedy/terminate-scope",
                f"without {' and '.join(missing)} this also ends replication, vacuum, backups or itself."
                " Narrow it, and list what it would hit first.",
            )
        if _WHOLE.match(text):
            yield defect(
                "remedy/no-scope", "this is for every row or the whole object. Say which with WHERE."
            )
    elif place.action.kind is Kind.SHELL and _WHOLE_SHELL.search(text):
        yield defect("remedy/no-scope", "this takes everything with it. Name what it is for.")


# A verb in the words, and calls that do the opposite of it to the same thing.
_OPPOSITES = (
    (
        re.compile(r"\b(?:block|ban|throttle|restrict|deny|very restrictive|low limit)\w*", re.IGNORECASE),
        re.compile(r"^(?:clear|reset|remove|delete|lift|release|unblock|unban|allow)(?=.*(?:limit|block|ban|restrict|deny))"),
    ),
    (
        re.compile(r"\b(?:disable|turn(?:ing)? off|switch(?:ing)? off)\b", re.IGNORECASE),
        re.compile(r"^(?:enable|turnon|switchon|activate)"),
    ),
    (
        re.compile(r"\b(?:enable|turn(?:ing)? on|switch(?:ing)? on)\b", re.IGNORECASE),
        re.compile(r"^(?:disable|turnoff|switchoff|deactivate)"),
    ),
)  # fmt: skip
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_COMMENT = re.compile(r"^\s*(?://|#|--)\s*(.*)$")


def _contradiction(place: Place) -> Iterator[Defect]:
    """The words are the comments that stand before the call in its fence."""
    words: list[str] = []
    for number, row in enumerate(place.action.text.splitlines(), start=place.action.line):
        if comment := _COMMENT.match(row):
            words.append(comment[1])
            continue
        for call in _CALL.findall(row):
            name = call.replace("_", "").lower()
            said = next(
                (s for s, opposite in _OPPOSITES if opposite.match(name) and s.search(" ".join(words))), None
            )
            spoken = said.search(" ".join(words)) if said else None
            if spoken:
                yield Defect(
                    rule="remedy/contradiction",
                    weight=Weight.ERROR,
                    file=place.runbook.path,
                    line=number,
                    message=f"the words say '{spoken[0].lower()}', and {call}() does the opposite. Mend one of them.",
                    runbook_says=row.strip(),
                )


_RESTART = re.compile(r"\b(?:restart|reboot)\w*\b[^.\n]{0,60}\b(?:forc\w+|breaker)\b", re.IGNORECASE)
# Words that speak against it.
_WARNS = re.compile(
    r"\b(?:not?|never|nothing|without|instead of|rather than|avoid|don't)\b[^.;]{0,30}\brestart|\brestart\w*\b[^.;]{0,12}\bwould\b",
    re.IGNORECASE,
)
_SAVES = re.compile(r"\b(?:sav|captur|snapshot|dump|preserv|collect|export|record|keep)\w*", re.IGNORECASE)


def _restarts(runbook: Runbook, entry: AlertEntry, group: RemediationGroup) -> Iterator[Defect]:
    whole = " ".join((group.label, *group.points))
    for point, line in zip(group.points, group.point_lines, strict=True):
        if _RESTART.search(point) and not _SAVES.search(whole) and not _WARNS.search(point):
            yield Defect(
                rule="remedy/restart-evidence",
                weight=Weight.WARNING,
                file=runbook.path,
                line=line,
                message="a restart as a reset destroys the evidence of why it was needed. Say what to save first.",
                runbook_says=point,
            )
