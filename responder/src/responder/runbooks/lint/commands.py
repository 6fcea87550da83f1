"""Family 6: commands that never end, wait for a person, or hang. 7: actions in a diagnosis that change things."""

from __future__ import annotations

import re
from collections.abc import Iterator

from responder.core.defect import Defect, Weight
from responder.core.effect import Effect, Role, Statement, Trait
from responder.core.runbook import Kind
from responder.runbooks.lint.subject import Place, Subject

_TIMES_OUT = re.compile(r"(?:^|\s)(?:-m\s*\d|--max-time|--connect-timeout|timeout\s)")
# A last time, a file or a format: there, -f does not mean to follow.
_HAS_AN_END = re.compile(
    r"\s--until\b|\bdocker[ -]compose\s+-f\s+\S+(?!.*\slogs\b.*\s(?:-f|--follow)\b)|\s-f\s+(?:json|yaml|xml|plain|table)"
)
# An address, in any of the forms that a runbook writes it: with a dot, a port, a path, a variable.
_CALLS = re.compile(
    r"^curl\s(?:.*\s)?[\"']?(?:https?:|\$|<|localhost\b|\{\{|[\w-]+(?:\.[\w-]+)+|[\w.-]+:\d+|\[)", re.DOTALL
)
# A terminal does no harm to a command that ends by itself, nor is a client interactive that is given what to do.
_SHELL = r"(?:/\S*/)?(?:ba|z|a|da|k)?sh(?:\s*$|\s+-l|\s*\|)|chroot\s+\S+\s*(?:(?:ba)?sh\s*)?$"
_ENDS = re.compile(
    rf"\s(?:exec|debug|run|rsh)\b.*\s--\s+(?!{_SHELL})\S"
    r"|\b(?:mongo(?:sh)?|mysql|mariadb|psql|sqlite3|cqlsh|clickhouse-client)\b.*\s(?:--eval|--execute|--command|--query|-e|-c|-q)[\s=]",
    re.DOTALL,
)


def check(subject: Subject) -> Iterator[Defect]:
    for place in subject.places(Role.DIAGNOSIS):
        for statement in place.action.statements:
            if defect := _unending(place, statement) or _changing(place, statement):
                yield defect
    for place in subject.places(Role.DIAGNOSIS, Role.REMEDIATION):
        yield from _hanging(place)


def _unending(place: Place, statement: Statement) -> Defect | None:
    if statement.trait is Trait.INTERACTIVE and (
        _ENDS.search(statement.text) or _is_mention(place, statement)
    ):
        return None
    if statement.trait is Trait.INTERACTIVE:
        return _defect(
            place, statement, "command/interactive", Weight.WARNING,
            f"{statement.reason}. Write a command that ends by itself.",
        )  # fmt: skip
    if statement.trait is Trait.ENDLESS and not _HAS_AN_END.search(statement.text):
        offer = f" Bounded: {statement.rewrite}" if statement.rewrite else " Give it an end."
        return _defect(place, statement, "command/unbounded", Weight.WARNING, f"{statement.reason}.{offer}")
    return None


def _is_mention(place: Place, statement: Statement) -> bool:
    """A sentence that names `oc debug` does not ask to type only that."""
    return place.action.language == "inline" and len(statement.text.split()) <= 2


# What only makes or refreshes files of one's own, what only asks, and a pod that is gone when its command ends.
_OWN_FILES = re.compile(
    r"^(?:sudo\s+)?(?:git\s+(?:clone|pull|fetch|checkout|switch|worktree)|npm|npx|yarn|go|cargo|make|pip3?|bundle|gem|brew|mkdir"
    r"|touch|cp|wget|apt(?:-get)?|yum|dnf|(?:docker|podman|crictl)\s+pull)\b"
    r"|^(?:sudo\s+)?service\s+\S+\s+status\b|^(?:kubectl|oc)\s+run\b.*\s--rm\b|^(?:kubectl|oc)\s+adm\s+upgrade\s*$"
    r"|^(?:.*\s)?nvidia-smi\s+(?:dmon|pmon|topo|-q|-L)\b|^ceph\s+daemon\s+\S+\s+(?:ops|dump\w*|perf|status|config\s+show)\b"
)


def _changing(place: Place, statement: Statement) -> Defect | None:
    if statement.effect is not Effect.MUTATE or statement.trait is Trait.SCRATCH:
        return None
    if place.action.kind is Kind.SHELL and _OWN_FILES.match(statement.text):
        return None
    message = f"an investigation only looks, and {statement.reason}. Move it under the remedies, where it waits for a person."
    return _defect(place, statement, "diagnosis/mutates", Weight.ERROR, message)


def _hanging(place: Place) -> Iterator[Defect]:
    """One finding for a fence: the cure is the same for all its lines."""
    if place.action.kind is not Kind.SHELL:
        return
    curls = [s for s in place.action.statements if _CALLS.match(s.text) and not _TIMES_OUT.search(s.text)]
    if curls:
        message = "curl waits for ever when nothing answers, which is when it is needed. Add --max-time 10."
        yield _defect(place, curls[0], "command/no-timeout", Weight.WARNING, message)


def _defect(place: Place, statement: Statement, rule: str, weight: Weight, message: str) -> Defect:
    return Defect(
        rule=rule,
        weight=weight,
        file=place.runbook.path,
        line=statement.line,
        message=message,
        runbook_says=statement.text,
    )
