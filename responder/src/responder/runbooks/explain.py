"""How a runbook will be run, for a person and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from responder.core.effect import Effect, Role, Runs
from responder.core.runbook import Action, AlertEntry, Condition, Runbook

_WORDS = {Runs.AUTO: "runs by itself", Runs.APPROVAL: "waits for approval", Runs.NEVER: "never runs"}


def explain_text(runbooks: Sequence[Runbook], *, bound: frozenset[str]) -> str:
    """Each alert as it will be run, with the reason for everything that does not run by itself."""
    return "\n".join(line for runbook in runbooks for line in _runbook_lines(runbook, bound)) + "\n"


def _runbook_lines(runbook: Runbook, bound: frozenset[str]) -> Iterator[str]:
    yield f"{runbook.path}: {runbook.title}"
    yield f"  {len(runbook.alerts)} alerts, {runbook.understood:.1%} of the lines understood"
    for problem in runbook.problems:
        yield f"  ! line {problem.line}: {problem.message}"
    for unknown in runbook.unknown:
        yield f"  ? lines {unknown.line}-{unknown.end_line} are kept for people to read: {unknown.text.splitlines()[0][:60]}"
    for alert in runbook.alerts:
        yield ""
        yield from _alert_lines(alert, bound)


def _alert_lines(alert: AlertEntry, bound: frozenset[str]) -> Iterator[str]:
    threshold = f", {alert.threshold.raw}" if alert.threshold else ""
    names = ", ".join(alert.names) or "no alert named"
    yield f"  {names} ({alert.severity or 'no severity'}{threshold}), line {alert.line}: {alert.title}"
    for step in alert.steps:
        yield f"    step {step.number or '-'} {step.title}, line {step.line}"
        if not step.actions:
            yield "      for people: nothing in it can be run"
        for action in step.actions:
            yield _action_line(action, Role.DIAGNOSIS, bound)
    for group in alert.remediation:
        yield f"    remedy {group.label}, line {group.line}"
        if not group.actions:
            yield "      for people: nothing in it can be run"
        for action in group.actions:
            yield _action_line(action, Role.REMEDIATION, bound)
    for rule in alert.escalation:
        yield f"    escalation, line {rule.line}: {rule.raw}"


def _action_line(action: Action, role: Role, bound: frozenset[str]) -> str:
    decision = action.decision(role, bound=bound)
    return f"      {action.kind}, line {action.line}: {_WORDS[decision.runs]} ({decision.reason.splitlines()[0]})"


def explain_json(runbooks: Sequence[Runbook], *, bound: frozenset[str]) -> dict[str, Any]:
    """The model as JSON."""
    return {"runbooks": [_runbook_json(runbook, bound) for runbook in runbooks]}


def _runbook_json(runbook: Runbook, bound: frozenset[str]) -> dict[str, Any]:
    return {
        "path": runbook.path,
        "title": runbook.title,
        "understood": runbook.understood,
        "alerts": [_alert_json(alert, bound) for alert in runbook.alerts],
        "process": [
            {
                "number": stage.number,
                "name": stage.name,
                "limit_seconds": stage.limit.total_seconds() if stage.limit else None,
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


def _alert_json(alert: AlertEntry, bound: frozenset[str]) -> dict[str, Any]:
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
                "actions": [_action_json(action, Role.DIAGNOSIS, bound) for action in step.actions],
            }
            for step in alert.steps
        ],
        "remediation": [
            {
                "label": group.label,
                "axis": group.axis,
                "limit_seconds": group.limit.total_seconds() if group.limit else None,
                "line": group.line,
                "actions": [_action_json(action, Role.REMEDIATION, bound) for action in group.actions],
            }
            for group in alert.remediation
        ],
        "prevention": [_action_json(action, Role.PREVENTION, bound) for action in alert.prevention],
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
        "for_seconds": threshold.for_.total_seconds() if threshold.for_ else None,
    }


def _action_json(action: Action, role: Role, bound: frozenset[str]) -> dict[str, Any]:
    decision = action.decision(role, bound=bound)
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


def _effect(action: Action) -> Effect:
    """The worst of its statements: one that changes things makes the whole change things."""
    effects = {statement.effect for statement in action.statements}
    if Effect.MUTATE in effects:
        return Effect.MUTATE
    return Effect.READ if effects == {Effect.READ} else Effect.UNKNOWN
