"""An entry → what will be run: each action as steps with a way to measure it, or the reason why it is only shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from responder.core.effect import Role, Runs, Statement
from responder.core.evidence import Judgement, PlannedStep, Verdict
from responder.core.policies import Policies
from responder.core.remediation import Phase, PlannedRemediation
from responder.core.runbook import Action, AlertEntry, Condition, Kind, RemediationGroup, Step, Unit
from responder.runbooks.effects.promql import measures_quantile, measures_ratio
from responder.runbooks.effects.shell import plain_get

LABEL_LIMIT = 120

# Kind, text, line, and how it is measured.
_Probe = tuple[str, str, int, dict[str, Any]]


def plan_steps(entry: AlertEntry, policies: Policies) -> tuple[PlannedStep, ...]:
    """The investigation of an entry, in its order."""
    return tuple(
        planned
        for step in entry.steps
        for action in step.actions
        for planned in _planned(step, action, entry.threshold, policies)
    )


def _planned(
    step: Step, action: Action, threshold: Condition | None, policies: Policies
) -> Iterator[PlannedStep]:
    decision = action.decision(
        Role.DIAGNOSIS, bound=policies.bindings.bound(), asked=policies.bindings.asked()
    )
    probes: list[_Probe] = []
    if decision.runs is Runs.AUTO:
        probes = list(_probes(action, threshold, policies))
    runs, reason = decision.runs is Runs.AUTO, decision.reason
    if runs and not probes:
        runs, reason = False, f"a read, but there is no source for {action.kind} here"
    if not runs:
        probes = [(action.kind.value, action.text.strip(), action.line, {})]
    for n, (kind, text, line, probe) in enumerate(probes):
        yield PlannedStep(
            key=action.key if n == 0 else f"{action.key}.{n + 1}",
            step_number=step.number,
            step_title=step.title,
            kind=kind,
            text=text,
            line=line,
            probe=probe,
            runs=runs,
            reason=reason,
        )


def _probes(action: Action, threshold: Condition | None, policies: Policies) -> Iterator[_Probe]:
    """Each statement that can be measured here."""
    if action.log_read is not None:
        read = action.log_read
        statement = action.statements[0]
        probe = {"path": read.path, "pattern": read.pattern, "lines": read.lines}
        yield "log", statement.rewrite or statement.text, statement.line, probe
        return
    for request, statement in (
        zip(action.requests, action.statements, strict=False) if action.kind is Kind.HTTP else ()
    ):
        yield "http", statement.text, statement.line, _endpoint(request.url, dict(request.headers))
    for statement in action.statements:
        if action.kind is Kind.PROMQL:
            probe = {"query": statement.text, "threshold": _comparable(statement, threshold)}
            yield "promql", statement.text, statement.line, probe
        elif action.kind is Kind.SQL:
            probe = {
                "sql": statement.rewrite or statement.text,
                "threshold": _countable(statement, threshold),
            }
            yield "sql", statement.text, statement.line, probe
        elif action.kind is Kind.SHELL and (address := plain_get(statement.text)):
            yield "http", statement.text, statement.line, _endpoint(_real(address, policies), {})


def _endpoint(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {"url": url, "headers": dict(headers), "component": url.rstrip("/").rpartition("/")[2] or url}


def _real(address: str, policies: Policies) -> str:
    """The address with the runbook's example host replaced by the real one."""
    for host, base_url in policies.bindings.hosts.items():
        for scheme in ("https://", "http://"):
            if address.startswith(f"{scheme}{host}"):
                return base_url.rstrip("/") + address.removeprefix(f"{scheme}{host}")
    return address


def _comparable(statement: Statement, threshold: Condition | None) -> dict[str, Any] | None:
    """The threshold, when the query measures what it speaks of: a ratio for percent, the same quantile for seconds."""
    if threshold is None or threshold.value is None:
        return None
    if threshold.unit is Unit.PERCENT:
        fits = measures_ratio(statement.text) and "error" in threshold.metric.lower()
    elif threshold.unit is Unit.SECONDS and threshold.quantile is not None:
        fits = measures_quantile(statement.text) == threshold.quantile
    else:
        fits = False
    if not fits:
        return None
    return {"raw": threshold.raw, "op": threshold.op, "value": threshold.value, "unit": threshold.unit}


def _countable(statement: Statement, threshold: Condition | None) -> dict[str, Any] | None:
    """A threshold in connections, when the statement counts sessions."""
    if threshold is None or threshold.value is None or threshold.unit is not Unit.COUNT:
        return None
    counts = re.search(r"count\s*\(", statement.text, re.IGNORECASE) and "pg_stat_activity" in statement.text
    if not counts or "connection" not in threshold.metric.lower():
        return None
    return {"raw": threshold.raw, "op": threshold.op, "value": threshold.value, "unit": threshold.unit}


def judge_value(measured: float, threshold: Mapping[str, Any]) -> Verdict:
    """The verdict on a measured value against a threshold as `PlannedStep.probe` holds it."""
    condition = Condition(
        raw=threshold["raw"],
        metric="",
        op=threshold["op"],
        value=threshold["value"],
        unit=Unit(threshold["unit"]),
        quantile=None,
        for_=None,
    )
    suffix = {Unit.PERCENT: "%", Unit.SECONDS: " s"}.get(condition.unit, "")
    shown = f"{measured:.1%}" if condition.unit is Unit.PERCENT else f"{measured:.3g}{suffix}"
    limit = f"{condition.op}{threshold['value']:g}{suffix}"
    if condition.holds(measured):
        return Verdict(judgement=Judgement.BAD, text=f"{shown}, past the runbook's {limit}")
    return Verdict(judgement=Judgement.GOOD, text=f"{shown}, within the runbook's {limit}")


def plan_remediation(entry: AlertEntry, policies: Policies) -> tuple[PlannedRemediation, ...]:
    """The remedies of an entry: those that can be run behind approval, and those that are a person's to do."""
    return tuple(remedy for group in entry.remediation for remedy in _remedies(group, policies))


def _remedies(group: RemediationGroup, policies: Policies) -> Iterator[PlannedRemediation]:
    for action in group.actions:
        decision = action.decision(
            Role.REMEDIATION, bound=policies.bindings.bound(), asked=policies.bindings.asked()
        )
        runnable, reason = decision.runs is Runs.APPROVAL, decision.reason
        if runnable and not any(request.phase is Phase.RUN for request in action.requests):
            runnable, reason = (
                False,
                "only `http` and `sql` blocks with a part named Run can be run from here",
            )
        yield PlannedRemediation(
            key=action.key,
            label=_label(group, action),
            words=_words(group, action),
            text=action.text.strip(),
            line=action.line,
            runnable=runnable,
            reason=reason,
            requests=action.requests if runnable else (),
        )
    if group.points and not group.actions:
        yield PlannedRemediation(
            key=f"remedy-text-{group.line}",
            label=group.label,
            words="",
            text="\n".join(f"- {point}" for point in group.points),
            line=group.line,
            runnable=False,
            reason="words for a person to follow",
            requests=(),
        )


def _words(group: RemediationGroup, action: Action) -> str:
    """What the runbook says of the action: all between it and the one before; of the last one also what follows."""
    lines = [each.line for each in group.actions]
    begin = max((line for line in lines if line < action.line), default=0)
    end = action.line if action.line < max(lines) else group.end_line + 1
    said = zip(group.points, group.point_lines, strict=True)
    return "\n".join(" ".join(point.split()) for point, line in said if begin < line < end)


def _label(group: RemediationGroup, action: Action) -> str:
    """The first sentence before the action, which says what it is for, as a name: without its full stop.

    Without a sentence, the group's label.
    """
    before = [
        point for point, line in zip(group.points, group.point_lines, strict=True) if line < action.line
    ]
    if not before:
        return group.label
    sentence = re.split(r"(?<=[.!?])\s", before[-1].replace("\n", " "))[0]
    name = sentence.rstrip(".")
    return name if len(name) <= LABEL_LIMIT else f"{name[: LABEL_LIMIT - 1]}…"
