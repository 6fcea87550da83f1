"""The expressions of runbooks and rules, each with the place where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from responder.core.defect import Defect, Weight
from responder.core.effect import Role
from responder.core.rule import AlertRule
from responder.core.runbook import Kind
from responder.runbooks.lint.subject import Subject

# What stands in an expression for other tools to fill in: variables of dashboards, templates, dots.
_UNFINISHED = re.compile(r"\$\w|\$\{|\.\.\.|…|<[\w -]+>|\{\{|\[\[")


@dataclass(frozen=True, kw_only=True)
class Query:
    """`rule` is None for a runbook's own query; `for_service` says that one answer is wanted, not one for each instance."""

    text: str
    file: str
    line: int
    rule: AlertRule | None = None
    for_service: bool = False

    def defect(self, rule: str, weight: Weight, message: str) -> Defect:
        return Defect(
            rule=rule,
            weight=weight,
            file=self.file,
            line=self.line,
            message=message,
            runbook_says=None if self.rule else self.text,
            rule_says=self.text if self.rule else None,
        )


def every(subject: Subject) -> Iterator[Query]:
    """The runbooks' queries and the rules' expressions, without those that are not finished."""
    return (
        query for query in (*_of_runbooks(subject), *_of_rules(subject)) if not _UNFINISHED.search(query.text)
    )


def _of_runbooks(subject: Subject) -> Iterator[Query]:
    for place in subject.places(Role.DIAGNOSIS, Role.REMEDIATION):
        if place.action.kind is not Kind.PROMQL or place.action.placeholders or place.action.guessed:
            continue
        threshold = place.entry.threshold
        for statement in place.action.statements:
            yield Query(
                text=statement.text,
                file=place.runbook.path,
                line=statement.line,
                for_service=threshold is not None and threshold.quantile is not None,
            )


def _of_rules(subject: Subject) -> Iterator[Query]:
    for rule in subject.rules:
        yield Query(
            text=rule.expr,
            file=rule.file,
            line=rule.expr_line,
            rule=rule,
            # A rule that names the instance in its page means one alert for each.
            for_service="$labels" not in " ".join(rule.annotations.values()),
        )
