"""Family 3: queries for series that Prometheus never had, and quantiles beyond the last bucket. Needs a live Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from responder.core.defect import Defect, Weight
from responder.core.effect import Role
from responder.core.runbook import Kind
from responder.runbooks.expressions import (
    calls,
    comparisons,
    expanded,
    matchers_of,
    metric_of,
    parsed,
    selectors,
)
from responder.runbooks.lint.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Question:
    """A metric that an expression reads, with the labels it wants of it; `limit` is what its quantile is compared with."""

    metric: str
    labels: tuple[str, ...]
    file: str
    line: int
    text: str
    from_rule: bool
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What Prometheus has of a metric: the names of its labels, and the edges of its buckets."""

    labels: frozenset[str]
    edges: Sequence[float] = field(default_factory=tuple[float])


def questions(subject: Subject) -> Iterator[Question]:
    """Every metric of the runbooks' queries and of the rules, in order."""
    for place in subject.places(Role.DIAGNOSIS, Role.REMEDIATION):
        if place.action.kind is Kind.PROMQL and not place.action.placeholders:
            for statement in place.action.statements:
                yield from _of(statement.text, place.runbook.path, statement.line, subject, from_rule=False)
    for rule in subject.rules:
        yield from _of(rule.expr, rule.file, rule.expr_line, subject, from_rule=True)


def _of(text: str, file: str, line: int, subject: Subject, *, from_rule: bool) -> Iterator[Question]:
    tree = parsed(expanded(text, subject.records))
    if tree is None:
        return
    limits = {
        metric_of(selector): comparison.value
        for comparison in comparisons(tree)
        for call in calls(comparison.left, "histogram_quantile")
        for selector in selectors(call)
    }
    asked: set[str] = set()
    # What `absent()` asks for is meant to be missing at times.
    excused = {metric_of(s) for call in calls(tree, "absent", "absent_over_time") for s in selectors(call)}
    for selector in selectors(tree):
        name = metric_of(selector)
        if name and name not in asked and name not in excused:
            asked.add(name)
            yield Question(
                metric=name,
                labels=tuple(m.name for m in matchers_of(selector) if m.name != "__name__" and m.value),
                file=file,
                line=line,
                text=text,
                from_rule=from_rule,
                limit=limits.get(name),
            )


def judge(question: Question, known: Known | None) -> Iterator[Defect]:
    """The defects of a query, given what Prometheus has of its metric; None for a metric that it never had."""

    def defect(rule: str, message: str) -> Defect:
        return Defect(
            rule=rule,
            weight=Weight.ERROR,
            file=question.file,
            line=question.line,
            message=message,
            runbook_says=None if question.from_rule else question.text,
            rule_says=question.text if question.from_rule else None,
        )

    if known is None:
        yield defect(
            "query/dead-metric", f"Prometheus never had {question.metric}. Mend the name, or scrape it."
        )
        return
    for label in question.labels:
        if label not in known.labels:
            yield defect(
                "query/dead-label", f"{question.metric} has no label {label}, so this matches nothing."
            )
    top = max((edge for edge in known.edges if math.isfinite(edge)), default=None)
    if top is not None and question.limit is not None and question.limit >= top:
        message = f"the last bucket of {question.metric} ends at {top:g}, so its quantile never passes {question.limit:g}."
        yield defect("promql/top-bucket", f"{message} Add buckets beyond.")
