"""Family 2: the words against the rule. Three answers; only a disagreement is a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from responder.core.defect import Comparison, Defect, Weight
from responder.core.rule import AlertRule
from responder.core.runbook import AlertEntry, Meta, Runbook
from responder.runbooks.expressions import ranges
from responder.runbooks.lint.severities import same_severity
from responder.runbooks.lint.subject import Subject
from responder.runbooks.lint.thresholds import measured, same_threshold, spoken
from responder.runbooks.lint.wanted import window


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`fact` is severity, threshold or for."""

    fact: str
    comparison: Comparison
    defect: Defect | None = None


def compare(subject: Subject) -> Iterator[Answer]:
    """Every fact in the words against the rules that its entry has: it agrees if one of them carries it."""
    for runbook, entry in subject.entries:
        rules = subject.rules_of(entry)
        if rules:
            yield _severity(runbook, entry, rules)
            yield _threshold(runbook, entry, rules, subject)
            yield _lasting(runbook, entry, rules, subject)


def _nothing(fact: str) -> Answer:
    return Answer(fact=fact, comparison=Comparison.NOT_COMPARABLE)


def _severity(runbook: Runbook, entry: AlertEntry, rules: Sequence[AlertRule]) -> Answer:
    written = _meta(entry, "severity")
    labelled = [(rule, rule.severity) for rule in rules if rule.severity]
    if written is None or not labelled:
        return _nothing("severity")
    answers = {same_severity(written.value, label) for _, label in labelled}
    if Comparison.AGREE in answers:
        return Answer(fact="severity", comparison=Comparison.AGREE)
    if Comparison.NOT_COMPARABLE in answers:
        return _nothing("severity")
    labels = ", ".join(sorted({label for _, label in labelled}))
    return _disagree(
        "severity", (runbook, written, entry), labelled[0][0],
        f"The runbook says {written.value}, the rule {labels}: one of them wakes the wrong person. Make them one.",
        f"severity: {labels}",
    )  # fmt: skip


def _threshold(runbook: Runbook, entry: AlertEntry, rules: Sequence[AlertRule], subject: Subject) -> Answer:
    words, written = entry.threshold, _meta(entry, "threshold")
    if words is None:
        return _nothing("threshold")
    unequal = None
    for rule in rules:
        tree = subject.tree_of(rule)
        comparison, found = same_threshold(words, tree) if tree is not None else (None, None)
        if comparison is Comparison.AGREE:
            return Answer(fact="threshold", comparison=comparison)
        if found is not None and unequal is None:
            unequal = rule, found
    if unequal is None:
        return _nothing("threshold")
    rule, found = unequal
    return _disagree(
        "threshold", (runbook, written, entry), rule,
        f"The runbook says {spoken(words)}, the rule {measured(found, words)}. Make them one.",
        rule.expr,
    )  # fmt: skip


def _lasting(runbook: Runbook, entry: AlertEntry, rules: Sequence[AlertRule], subject: Subject) -> Answer:
    words = entry.threshold
    if words is None or words.for_ is None:
        return _nothing("for")
    if any(_lasts(rule, words.for_, subject) for rule in rules):
        return Answer(fact="for", comparison=Comparison.AGREE)
    if window(words.raw) == words.for_.total_seconds():
        # "10 failures in 5 minutes" is a window, and a rule may reach the same with another.
        return _nothing("for")
    rule = rules[0]
    return _disagree(
        "for", (runbook, _meta(entry, "threshold"), entry), rule,
        f"The runbook says for {_span(words.for_)}, the rule for {_span(rule.for_)}. Make them one.",
        f"for: {_span(rule.for_)}",
    )  # fmt: skip


def _lasts(rule: AlertRule, wanted: timedelta, subject: Subject) -> bool:
    """`for 5 minutes` is `for: 5m`, or a window of 5 minutes that need not hold for longer, or window and `for` together."""
    tree = subject.tree_of(rule)
    windows = ranges(tree) if tree is not None else []
    return rule.for_ == wanted or any(
        rule.for_ + window == wanted or (window == wanted and rule.for_ < wanted) for window in windows
    )


def _disagree(
    fact: str, where: tuple[Runbook, Meta | None, AlertEntry], rule: AlertRule, message: str, says: str
) -> Answer:
    runbook, written, entry = where
    line = rule.expr_line if fact == "threshold" else rule.line
    defect = Defect(
        rule=f"words/{fact}",
        weight=Weight.ERROR,
        file=runbook.path,
        line=written.line if written else entry.line,
        message=message,
        runbook_says=written.value if written else None,
        rule_says=f"{rule.file}:{line} {says}",
    )
    return Answer(fact=fact, comparison=Comparison.DISAGREE, defect=defect)


def _meta(entry: AlertEntry, key: str) -> Meta | None:
    return next((meta for meta in entry.meta if meta.key == key), None)


def _span(value: timedelta) -> str:
    seconds = value.total_seconds()
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g} s"
