"""Family 9: placeholders without a value, and secrets on a command line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from responder.core.defect import Defect, Weight
from responder.core.effect import Role
from responder.core.runbook import RUNNABLE, Action, AlertEntry, Kind, Placeholder, squash
from responder.runbooks.lint.subject import Place, Subject

_SECRET = re.compile(
    r"authorization:|\b(?:x-api-key|api[-_]?key|token|password|passwd|secret)[\"']?\s*[:=]\s*[^\s$<(\"']"
    r"|--(?:password|token|secret)[= ]\S|\$\{?(?-i:(?:[A-Z0-9_]*_)?(?:KEY|TOKEN|PASSWORD|PASSWD|SECRET))\b"
    r"|\$\{?\w*(?:token|password|passwd|secret|api_?key)\b|\bcurl\b.*\s-u\s*\S+:\S"
    r"|\bredis-cli\b.*\s-a\s*\S|\b(?:psql|redis-cli|mysql|mongo\w*)\b.*\$\{?\w*(?:URL|URI|DSN)\b|\bmysql\b.*\s-p\S"
    r"|://[^\s/:@]+:[^\s/@]+@",
    re.IGNORECASE,
)
# What comes before a command is its environment, and what the shell does itself is in no list of processes. A key's file
# is no secret.
_ENVIRONMENT = re.compile(r"^(?:\w+=(?:\"[^\"]*\"|'[^']*'|\S)*\s+)+")
_BUILTIN = re.compile(r"^(?:echo|printf|export|unset|test|read|local|\[|if\b|\w+=)")
_KEY_FILE = re.compile(r"(?:-i|--(?:private-)?key(?:-file)?|--identity)[= ]\S+")


def check(subject: Subject) -> Iterator[Defect]:
    told: set[tuple[str, int, str]] = set()
    for place in subject.places(Role.DIAGNOSIS, Role.REMEDIATION):
        yield from _unbound(place, subject, told)
        yield from _secrets(place)


def _unbound(place: Place, subject: Subject, told: set[tuple[str, int, str]]) -> Iterator[Defect]:
    """Each name once in an entry, where it first stands."""
    if place.action.kind not in RUNNABLE or place.action.guessed:
        return
    given = _given_by_the_runbook(place.entry)
    missing: list[str] = []
    for placeholder in place.action.placeholders:
        known = placeholder.name in subject.bound or squash(placeholder.name) in given
        known = (
            known or _is_of_a_template(place.action, placeholder) or _is_asked(place, placeholder, subject)
        )
        name = (place.runbook.path, place.entry.line, placeholder.name)
        if not known and name not in told and not _from_alert(placeholder.name, place, subject):
            told.add(name)
            missing.append(placeholder.raw)
    if missing:
        yield Defect(
            rule="placeholder/unbound",
            weight=Weight.WARNING,
            file=place.runbook.path,
            line=_line(place, missing[0]),
            message=f"no value for {', '.join(missing)}, so this cannot run. Bind it in policies/bindings.toml."
            + _asked_elsewhere(place, missing, subject),
            runbook_says=_row(place.action, missing[0]),
        )


def _is_asked(place: Place, placeholder: Placeholder, subject: Subject) -> bool:
    """A remedy waits for a person, who can be asked."""
    return place.role is Role.REMEDIATION and placeholder.name in subject.asked and placeholder.can_be_asked


def _asked_elsewhere(place: Place, missing: list[str], subject: Subject) -> str:
    names = {p.name for p in place.action.placeholders if p.raw in missing} & subject.asked
    if not names:
        return ""
    if place.role is Role.DIAGNOSIS:
        return (
            f" {', '.join(sorted(names))} is asked of a person, but a step that runs by itself asks nobody."
        )
    return f" {', '.join(sorted(names))} is asked of a person where it is written as {{{{name}}}}."


_TEMPLATE = re.compile(r"--template|go-template|-o\s*template|--format|jsonpath")
_QUOTED = re.compile(r"'[^']*'")


def _is_of_a_template(action: Action, placeholder: Placeholder) -> bool:
    """The command's own `{{.name}}`, and `$k` where the shell puts nothing in."""
    if action.kind is not Kind.SHELL:
        return False
    if placeholder.raw.startswith("{") and _TEMPLATE.search(action.text):
        return True
    if placeholder.raw.startswith("$"):
        own = "mongo" in action.text and placeholder.name.islower()
        return own or placeholder.raw not in _QUOTED.sub("", action.text).replace(f"\\{placeholder.raw}", "")
    # Tags of HTML, and what another language puts into its own strings.
    if placeholder.raw.startswith("<") and f"</{placeholder.name}>" in action.text:
        return True
    if placeholder.raw.startswith("{") and re.search(r"\bf[\"']", _row(action, placeholder.raw)):
        return True
    # Words in capitals between quotes are what a command looks for.
    return placeholder.raw.isupper() and placeholder.raw not in re.sub(r"'[^']*'|\"[^\"]*\"", "", action.text)


# Variables that every shell has.
_SHELLS_OWN = frozenset(
    {"path", "home", "user", "pwd", "shell", "hostname", "random", "uid", "editor", "tmpdir", "ifs", "lineno"}
)
_ASSIGNED = re.compile(
    r"(?:^|[\s;(&|`])(?:export\s+|local\s+|declare\s+)?([A-Za-z_]\w*)=(?![=~])|\bfor\s+(\w+)\s+in\b|\bread\s+(?:-\w+\s+)*(\w+)"
)


def _given_by_the_runbook(entry: AlertEntry) -> frozenset[str]:
    """Names that a command of the entry sets, so that a person who follows it has their values."""
    actions = [
        *(action for step in entry.steps for action in step.actions),
        *(action for group in entry.remediation for action in group.actions),
    ]
    texts = (
        statement.text for action in actions if action.kind is Kind.SHELL for statement in action.statements
    )
    names = {squash(name) for text in texts for found in _ASSIGNED.findall(text) for name in found if name}
    return frozenset(names) | _SHELLS_OWN


_LABEL = re.compile(r"\$labels\.(\w+)")


def _from_alert(name: str, place: Place, subject: Subject) -> bool:
    """The labels of the alert give a value: those that its rules set, group by, or name in their pages."""
    rules = subject.rules_of(place.entry)
    labels = {squash(label) for rule in rules for label in rule.labels}
    for rule in rules:
        for found in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", rule.expr):
            labels |= {squash(label) for label in found.split(",")}
        labels |= {squash(label) for label in _LABEL.findall(" ".join(rule.annotations.values()))}
    return squash(re.sub(r"^(?:\$?labels\.)", "", name)) in labels - {""}


def _line(place: Place, raw: str) -> int:
    for number, row in enumerate(place.action.text.splitlines(), start=place.action.line):
        if raw in row:
            return number
    return place.action.line


def _row(action: Action, raw: str) -> str:
    return next((row.strip() for row in action.text.splitlines() if raw in row), action.text.strip())


def _secrets(place: Place) -> Iterator[Defect]:
    if place.action.kind is not Kind.SHELL:
        return
    for statement in place.action.statements:
        command = _KEY_FILE.sub("", _ENVIRONMENT.sub("", statement.text))
        if not _BUILTIN.match(command) and _SECRET.search(command):
            yield Defect(
                rule="secret/command-line",
                weight=Weight.ERROR,
                file=place.runbook.path,
                line=statement.line,
                message="a secret among the arguments is in `ps`, in the shell's history and in the evidence."
                " Bind it as a secret, or write an http or sql block.",
                runbook_says=statement.text,
            )
