"""Family 2: the words against the rule. Three answers; only a disagreement is a finding."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta

from responder.core.defect import Comparison, Defect, Weight
from responder.core.rule import AlertRule
from responder.core.runbook import AlertEntry, Condition, Runbook, Unit
from responder.runbooks import expressions
from responder.runbooks.expressions import (
    calls,
    comparisons,
    divisions,
    expanded,
    metric_of,
    parsed,
    ranges,
    selectors,
)
from responder.runbooks.lint.subject import Subject

# What each scheme of severities counts as its first, second and third.
_ORDINALS = (
    {"critical": 0, "major": 1, "warning": 1, "minor": 2, "info": 2},
    {"page": 0, "ticket": 1},
)
_NUMBERED = re.compile(r"^(p|sev|s)-?(\d)$")
_COMPLEMENT = 1.0


def check(subject: Subject) -> Iterator[Defect]:
    for _, defect in compare(subject):
        if defect is not None:
            yield defect


def compare(subject: Subject) -> Iterator[tuple[Comparison, Defect | None]]:
    """Every pair of a fact in the words and the rules that its entry has."""
    for runbook, entry in subject.entries:
        rules = subject.rules_of(entry)
        if not rules:
            continue
        yield _severity(runbook, entry, rules)
        if entry.threshold is not None:
            yield _threshold(runbook, entry, entry.threshold, rules, subject)
            yield _lasting(runbook, entry, entry.threshold, rules, subject)


Answer = tuple[Comparison, Defect | None]


def _severity(runbook: Runbook, entry: AlertEntry, rules: Sequence[AlertRule]) -> Answer:
    written = next((meta for meta in entry.meta if meta.key == "severity"), None)
    spoken = sorted({rule.severity for rule in rules if rule.severity})
    if written is None or not spoken:
        return Comparison.NOT_COMPARABLE, None
    words = re.findall(r"[A-Za-z]+-?\d|[A-Za-z]+", written.value)
    answers = {_same_severity(words, severity) for severity in spoken}
    if True in answers:
        return Comparison.AGREE, None
    if answers == {None}:
        return Comparison.NOT_COMPARABLE, None
    rule = next(rule for rule in rules if rule.severity)
    return Comparison.DISAGREE, Defect(
        rule="words/severity",
        weight=Weight.ERROR,
        file=runbook.path,
        line=written.line,
        message=f"The runbook says {written.value}, the rule {', '.join(spoken)}: one of them wakes the wrong person.",
        runbook_says=written.value,
        rule_says=f"{rule.file}:{rule.line} severity: {', '.join(spoken)}",
    )


def _same_severity(words: Sequence[str], spoken: str) -> bool | None:
    """None where the two speak of severities in schemes that cannot be compared."""
    wanted = spoken.lower().replace("-", "")
    lowered = [word.lower().replace("-", "") for word in words]
    if wanted in lowered:
        return True
    ours = _NUMBERED.match(wanted)
    numbers = [found for word in lowered if (found := _NUMBERED.match(word)) and ours and found[1] == ours[1]]
    if numbers:
        return False
    for scheme in _ORDINALS:
        same = [word for word in lowered if word in scheme]
        if wanted in scheme and same:
            return any(scheme[word] == scheme[wanted] for word in same)
    return None


def _threshold(
    runbook: Runbook, entry: AlertEntry, words: Condition, rules: Sequence[AlertRule], subject: Subject
) -> Answer:
    if words.value is None:
        return Comparison.NOT_COMPARABLE, None
    comparable = [(rule, found) for rule in rules for found in _comparable(rule, words, subject)]
    if not comparable:
        return Comparison.NOT_COMPARABLE, None
    if any(_same_value(words, found) for _, found in comparable):
        return Comparison.AGREE, None
    rule, found = comparable[0]
    return Comparison.DISAGREE, Defect(
        rule="words/threshold",
        weight=Weight.ERROR,
        file=runbook.path,
        line=_line_of(entry, "threshold"),
        message=f"The runbook says {words.op}{_number(words)}, the rule {found.op} {found.value:g}. Make them one.",
        runbook_says=words.raw,
        rule_says=f"{rule.file}:{rule.expr_line} {rule.expr}",
    )


def _number(words: Condition) -> str:
    unit = {Unit.PERCENT: "%", Unit.SECONDS: " s", Unit.PER_SECOND: "/s", Unit.BYTES: " bytes"}.get(
        words.unit, ""
    )
    return f"{words.value:g}{unit}"


def _line_of(entry: AlertEntry, key: str) -> int:
    return next((meta.line for meta in entry.meta if meta.key == key), entry.line)


def _comparable(rule: AlertRule, words: Condition, subject: Subject) -> Iterator[expressions.Comparison]:
    """The comparisons of a rule that measure what the words measure. Those of a guard, such as a floor of traffic, do not."""
    tree = parsed(expanded(rule.expr, subject.records))
    if tree is None:
        return
    found = list(comparisons(tree))
    for comparison in found:
        if comparison.op in {"==", "!="} and words.value not in {0.0, 1.0}:
            continue
        if _measures(comparison.left, words, alone=len(found) == 1):
            yield comparison


def _measures(left: expressions.Node, words: Condition, *, alone: bool) -> bool:
    ratio = any(True for _ in divisions(left))
    match words.unit:
        case Unit.PERCENT:
            return ratio or _named(left, "ratio", "percent", "availability", "utili")
        case Unit.SECONDS:
            quantile = any(True for _ in calls(left, "histogram_quantile"))
            return quantile if words.quantile is not None else alone and _named(left, "_seconds", "time()")
        case Unit.BYTES:
            return alone and not ratio and _named(left, "_bytes")
        case Unit.PER_SECOND:
            return not ratio and any(True for _ in calls(left, "rate", "irate"))
        case Unit.COUNT:
            return alone and not ratio
        case _:
            return False


def _named(node: expressions.Node, *parts: str) -> bool:
    names = [metric_of(selector) or "" for selector in selectors(node)]
    return any(part in name for name in names for part in parts)


def _same_value(words: Condition, found: expressions.Comparison) -> bool:
    """Percent against a ratio, and 99.9% available against 0.1% errors, are the same number in other clothes."""
    value = words.value or 0.0
    candidates = [value]
    if words.unit is Unit.PERCENT:
        candidates = [value / 100, value]
        complements = [_COMPLEMENT - value / 100, 100 - value]
        if _against(words.op, found.op) and any(_close(c, found.value) for c in complements):
            return True
    return _along(words.op, found.op) and any(_close(c, found.value) for c in candidates)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)


def _along(one: str, other: str) -> bool:
    return one[0] == other[0] or other == "=="


def _against(one: str, other: str) -> bool:
    return {one[0], other[0]} == {"<", ">"}


def _lasting(
    runbook: Runbook, entry: AlertEntry, words: Condition, rules: Sequence[AlertRule], subject: Subject
) -> Answer:
    """`for 5 minutes` against `for: 5m`, or against a window of 5 minutes, or both together."""
    if words.for_ is None:
        return Comparison.NOT_COMPARABLE, None
    for rule in rules:
        tree = parsed(expanded(rule.expr, subject.records))
        windows = ranges(tree) if tree is not None else []
        lasting = {rule.for_, *windows, *(rule.for_ + window for window in windows)}
        if words.for_ in lasting:
            return Comparison.AGREE, None
    rule = rules[0]
    return Comparison.DISAGREE, Defect(
        rule="words/for",
        weight=Weight.ERROR,
        file=runbook.path,
        line=_line_of(entry, "threshold"),
        message=f"The runbook says for {_span(words.for_)}, the rule for {_span(rule.for_)}. Make them one.",
        runbook_says=words.raw,
        rule_says=f"{rule.file}:{rule.line} for: {_span(rule.for_)}",
    )


def _span(value: timedelta) -> str:
    seconds = value.total_seconds()
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g} s"
