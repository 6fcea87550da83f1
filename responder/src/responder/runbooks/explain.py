"""How a runbook will be run, for a person and for programs."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from responder.core.effect import Decision, Effect, Role, Runs
from responder.core.runbook import Action, AlertEntry, Condition, EscalationRule, Runbook

WIDTH = 100
_WORDS = {Runs.AUTO: "runs by itself", Runs.APPROVAL: "waits for approval", Runs.NEVER: "never runs"}
_COLUMN = 20
_FOR_PEOPLE = "for people to do: nothing in it can be run"


_Decide = Callable[[Role, Action], Decision]


def _decider(bound: frozenset[str], asked: frozenset[str]) -> _Decide:
    return lambda role, action: action.decision(role, bound=bound, asked=asked)


def explain_text(
    runbooks: Sequence[Runbook], *, bound: frozenset[str], asked: frozenset[str] = frozenset()
) -> str:
    """Each alert as it will be run, with the reason for everything, in lines of at most 100 columns."""
    decide = _decider(bound, asked)
    return "\n".join(line for runbook in runbooks for line in _runbook_lines(runbook, decide)) + "\n"


def _runbook_lines(runbook: Runbook, decide: _Decide) -> Iterator[str]:
    yield _cut(f"{runbook.path}: {runbook.title}")
    yield f"  {_plural(len(runbook.alerts), 'alert')}, {runbook.understood:.1%} of the lines understood"
    runs = Counter(
        decide(role, action).runs for entry in runbook.alerts for role, action in actions_of(entry)
    )
    if runs:
        yield "  " + ", ".join(f"{runs[kind]} {_many(kind, runs[kind])}" for kind in Runs if runs[kind])
    for problem in runbook.problems:
        yield from _wrapped(f"line {problem.line}: {problem.message}", first="  ! ", indent="    ")
    if runbook.unknown:
        yield "  not understood, and kept for people to read:"
    for unknown in runbook.unknown:
        lines = (
            f"line {unknown.line}"
            if unknown.line == unknown.end_line
            else f"lines {unknown.line}-{unknown.end_line}"
        )
        yield _cut(f"    {lines:<16} {unknown.text.splitlines()[0].strip()}")
    for alert in runbook.alerts:
        yield ""
        yield from _alert_lines(alert, decide)
    yield ""


def _many(kind: Runs, count: int) -> str:
    one = _WORDS[kind]
    return (
        one
        if count == 1
        else {Runs.AUTO: "run by themselves", Runs.APPROVAL: "wait for approval", Runs.NEVER: "never run"}[
            kind
        ]
    )


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _alert_lines(alert: AlertEntry, decide: _Decide) -> Iterator[str]:
    names = ", ".join(alert.names) or "no alert named"
    facts = [alert.severity or "no severity", alert.threshold.raw if alert.threshold else "no threshold"]
    yield from _wrapped(f"{names}: {alert.title} (line {alert.line})", indent="  ")
    yield from _wrapped("; ".join(" ".join(fact.split()) for fact in facts), first="  ", indent="  ")
    if alert.steps:
        yield "  diagnosis"
    for step in alert.steps:
        yield from _wrapped(f"{step.number}. {step.title} (line {step.line})", first="    ", indent="      ")
        yield from _action_lines([(Role.DIAGNOSIS, action) for action in step.actions], decide)
    if alert.remediation:
        yield "  remedies"
    for group in alert.remediation:
        limit = f", within {_span(group.limit)}" if group.limit else ""
        yield from _wrapped(f"{group.label} (line {group.line}{limit})", first="    ", indent="      ")
        yield from _action_lines([(Role.REMEDIATION, action) for action in group.actions], decide)
    aside = [
        (role, action) for role, action in actions_of(alert) if role not in {Role.DIAGNOSIS, Role.REMEDIATION}
    ]
    if aside:
        yield "  elsewhere in it"
        yield from _action_lines(aside, decide)
    if alert.escalation:
        yield "  escalation"
    for rule in alert.escalation:
        yield from _wrapped(f"{_when(rule)}: {rule.raw} (line {rule.line})", first="    ", indent="      ")


def actions_of(alert: AlertEntry) -> Iterator[tuple[Role, Action]]:
    """Every action of an entry with the role of its section."""
    yield from ((Role.DIAGNOSIS, action) for step in alert.steps for action in step.actions)
    yield from ((Role.REMEDIATION, action) for group in alert.remediation for action in group.actions)
    rest = [(Role.PREVENTION, action) for action in alert.prevention]
    rest += [(aside.role, aside.action) for aside in alert.asides]
    yield from sorted(rest, key=lambda pair: pair[1].line)


def _action_lines(actions: Sequence[tuple[Role, Action]], decide: _Decide) -> Iterator[str]:
    if not actions:
        yield f"      {_FOR_PEOPLE}"
    for role, action in actions:
        decision = decide(role, action)
        texts = [" ".join(statement.text.split()) for statement in action.statements] or _first_row(
            action.text
        )
        yield _cut(f"      {_WORDS[decision.runs]:<{_COLUMN}}line {action.line} {action.kind}: {texts[0]}")
        yield from (_cut(f"{_INDENT}{text}") for text in texts[1:_SHOWN])
        if len(texts) > _SHOWN:
            yield f"{_INDENT}and {len(texts) - _SHOWN} more"
        yield from _wrapped(f"({_reason(decision)})", first=_INDENT, indent=_INDENT)


_INDENT = " " * (6 + _COLUMN)
# Of a block with more statements than this, the first are shown.
_SHOWN = 6


def _first_row(text: str) -> list[str]:
    return [next((row.strip() for row in text.splitlines() if row.strip()), "(empty)")]


def _reason(decision: Decision) -> str:
    return " ".join(decision.reason.split())


def _when(rule: EscalationRule) -> str:
    if rule.trigger == "elapsed" and rule.after:
        return f"after {_span(rule.after)}"
    if rule.trigger == "severity" and rule.severity:
        return f"if {rule.severity}"
    return {"text": "for people to judge", "duty": "always due"}.get(rule.trigger, rule.trigger)


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _wrapped(text: str, *, first: str = "", indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_on_hyphens=False,
        replace_whitespace=True,
    )


def explain_json(
    runbooks: Sequence[Runbook], *, bound: frozenset[str], asked: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The model as JSON."""
    decide = _decider(bound, asked)
    return {"runbooks": [_runbook_json(runbook, decide) for runbook in runbooks]}


def _runbook_json(runbook: Runbook, decide: _Decide) -> dict[str, Any]:
    return {
        "path": runbook.path,
        "title": runbook.title,
        "understood": runbook.understood,
        "alerts": [_alert_json(alert, decide) for alert in runbook.alerts],
        "process": [
            {
                "number": stage.number,
                "name": stage.name,
                "limit_seconds": _seconds(stage.limit),
                "applies_to": stage.applies_to,
                "items": list(stage.items),
                "line": stage.line,
            }
            for stage in runbook.process
        ],
        "contacts": [asdict(contact) for contact in runbook.contacts],
        "templates": [asdict(template) for template in runbook.templates],
        "unknown": [{"line": unknown.line, "text": unknown.text} for unknown in runbook.unknown],
        "problems": [asdict(problem) for problem in runbook.problems],
    }


def _alert_json(alert: AlertEntry, decide: _Decide) -> dict[str, Any]:
    return {
        "names": list(alert.names),
        "title": alert.title,
        "severity": alert.severity,
        "line": alert.line,
        "threshold": _threshold_json(alert.threshold) if alert.threshold else None,
        "steps": [
            {
                "number": step.number,
                "title": step.title,
                "line": step.line,
                "actions": [_action_json(action, Role.DIAGNOSIS, decide) for action in step.actions],
            }
            for step in alert.steps
        ],
        "remediation": [
            {
                "label": group.label,
                "axis": group.axis,
                "limit_seconds": _seconds(group.limit),
                "line": group.line,
                "actions": [_action_json(action, Role.REMEDIATION, decide) for action in group.actions],
            }
            for group in alert.remediation
        ],
        "elsewhere": [
            {"section": role, **_action_json(action, role, decide)}
            for role, action in actions_of(alert)
            if role not in {Role.DIAGNOSIS, Role.REMEDIATION}
        ],
        "escalation": [
            {"raw": rule.raw, "trigger": rule.trigger, "targets": list(rule.targets), "line": rule.line}
            for rule in alert.escalation
        ],
    }


def _threshold_json(threshold: Condition) -> dict[str, Any]:
    return {
        "raw": threshold.raw,
        "metric": threshold.metric,
        "op": threshold.op,
        "value": threshold.value,
        "unit": threshold.unit,
        "quantile": threshold.quantile,
        "for_seconds": _seconds(threshold.for_),
    }


def _action_json(action: Action, role: Role, decide: _Decide) -> dict[str, Any]:
    decision = decide(role, action)
    return {
        "key": action.key,
        "kind": action.kind,
        "language": action.language,
        "line": action.line,
        "text": action.text,
        "effect": _effect(action),
        "bounded": bool(action.statements) and all(statement.bounded for statement in action.statements),
        "placeholders": [placeholder.raw for placeholder in action.placeholders],
        "runs": decision.runs,
        "reason": decision.reason,
    }


def _seconds(span: timedelta | None) -> float | None:
    if span is None:
        return None
    seconds = span.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _effect(action: Action) -> Effect:
    """The worst of its statements: one that changes things makes the whole change things."""
    effects = {statement.effect for statement in action.statements}
    if Effect.MUTATE in effects:
        return Effect.MUTATE
    return Effect.READ if effects == {Effect.READ} else Effect.UNKNOWN
