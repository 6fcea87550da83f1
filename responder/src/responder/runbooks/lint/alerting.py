"""Family 5, of rules: alerts that stay silent when they are needed, or page for next to nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from responder.core.defect import Defect, Weight
from responder.core.rule import AlertRule
from responder.runbooks.expressions import (
    Comparison,
    Node,
    aggregates,
    calls,
    comparisons,
    divisions,
    grouping,
    matchers_of,
    metric_of,
    parsed,
    ranges,
    selectors,
    walk,
)
from responder.runbooks.lint.queries import Query
from responder.runbooks.lint.subject import Subject

# What wakes people: a rule without a severity may.
_WAKES = frozenset({"", "p0", "s1", "sev0", "sev1", "sev-0", "sev-1", "critical", "page"})


def check(subject: Subject) -> Iterator[Defect]:
    watched = any(_watches_targets(rule.expr) for rule in subject.rules)
    for rule in subject.rules:
        tree = subject.tree_of(rule)
        if tree is None or "{{" in rule.expr:
            continue
        query = Query(text=rule.expr, file=rule.file, line=rule.expr_line, rule=rule)
        yield from _held_state(query, tree, rule.for_)
        if (rule.severity or "").lower() in _WAKES:
            yield from _first_increase(query, tree)
            yield from _of_ratio(query, rule, tree, watched=watched)
    yield from _flapping_words(subject)


_COUNTER = re.compile(r"_(?:total|count)$")
# Those of programs that are known to start their counters at 0.
_STARTS_AT_ZERO = re.compile(
    r"^(?:prometheus|alertmanager|thanos|node|kube|etcd|go|process|apiserver|coredns|grpc|workqueue|up)_"
)
# Labels that come with the target: what has no others is there from the first scrape.
_OF_THE_TARGET = frozenset(
    {"job", "instance", "namespace", "cluster", "pod", "container", "service", "endpoint", "env"}
)


def _first_increase(query: Query, tree: Node) -> Iterator[Defect]:
    if any(str(node.op).split()[0] in {"or", "unless"} for node in walk(tree) if hasattr(node, "lhs")):
        return
    every = list(comparisons(tree))
    for comparison in every:
        found = [s for call in calls(comparison.left, "increase") for s in selectors(call)]
        name = (metric_of(found[0]) or "") if found else ""
        if not _COUNTER.search(name) or _STARTS_AT_ZERO.match(name) or not _asks_for_one(comparison):
            continue
        if any(other.value > 1 and _reads(other, name) for other in every):
            continue
        labels = {label for node in aggregates(comparison.left) for label in grouping(node)[1]}
        labels |= {matcher.name for selector in found for matcher in matchers_of(selector)}
        message = (
            f"{name} may appear for the first time at 1, and then nothing has increased: the first one never fires."
            f" Add `or ({name} unless {name} offset 5m) > 0`, or start every series at 0."
        )
        weight = Weight.ERROR if labels - _OF_THE_TARGET else Weight.WARNING
        yield query.defect("promql/first-increase", weight, message)


def _asks_for_one(comparison: Comparison) -> bool:
    return (comparison.op, comparison.value) in {(">", 0.0), (">=", 1.0), ("!=", 0.0)}


def _reads(comparison: Comparison, name: str) -> bool:
    return any(metric_of(selector) == name for selector in selectors(comparison.left))


# A state that comes and goes while the trouble lasts.
_FLAPS = re.compile(r"breaker|circuit|probe_success|health_?check", re.IGNORECASE)


def _held_state(query: Query, tree: Node, lasting: timedelta) -> Iterator[Defect]:
    if lasting < timedelta(minutes=1):
        return
    for comparison in comparisons(tree):
        names = [metric_of(s) or "" for s in selectors(comparison.left)]
        flaps = any(_FLAPS.search(name) and not _COUNTER.search(name) for name in names)
        is_state = comparison.value in {0.0, 1.0} and not comparison.ratio and not ranges(comparison.left)
        if flaps and is_state:
            message = (
                "one scrape in the other state begins the wait anew, so what flaps never fires."
                " Write avg_over_time(…[5m]) > 0.5."
            )
            yield query.defect("promql/held-state", Weight.ERROR, message)
            return


def _of_ratio(query: Query, rule: AlertRule, tree: Node, *, watched: bool) -> Iterator[Defect]:
    if not any(_is_of_errors(node) for node in divisions(tree)):
        return
    if not watched:
        message = (
            "when the target is gone there is no ratio, so this is silent for the whole outage, and no rule here watches"
            " for that. Add one on up == 0, absent(…) or a probe."
        )
        yield query.defect("promql/silent-when-gone", Weight.ERROR, message)
    if not _has_floor(tree) and _two_are_enough(tree, rule.for_):
        message = (
            "with little traffic one or two failures are a high share, and page. Add a floor:"
            " `and sum(rate(…)) > …`."
        )
        yield query.defect("promql/no-traffic-floor", Weight.WARNING, message)


_ERRORS = re.compile(r"(?:^|[_:])(?:err(?:or)?s?|fail\w*|5xx)(?:[_:]|$)", re.IGNORECASE)
_STATUS = frozenset({"status", "code", "status_code", "http_status", "response_code"})


def _is_of_errors(node: Node) -> bool:
    """Whether a division is a share of what failed among what was tried."""
    counted = [s for call in calls(node.lhs, "rate", "increase", "irate") for s in selectors(call)]
    tried = any(True for _ in calls(node.rhs, "rate", "increase", "irate"))
    return tried and any(map(_selects_errors, counted))


def _selects_errors(selector: Node) -> bool:
    if _ERRORS.search(metric_of(selector) or ""):
        return True
    status = [m for m in matchers_of(selector) if m.name in _STATUS and str(m.op).endswith(("Equal", "Re"))]
    return any(m.value.startswith("5") or re.search(r"err|fail", m.value, re.IGNORECASE) for m in status)


def _has_floor(tree: Node) -> bool:
    """Whether a comparison of an amount stands beside the one of the ratio, or the divisor is kept from being small."""
    amounts = [c for c in comparisons(tree) if not c.ratio and c.op in {">", ">="} and c.value > 0]
    kept_up = any(
        any(True for _ in calls(node.rhs, "clamp_min")) or _filters(node.rhs) for node in divisions(tree)
    )
    # Two ratios with one limit: the longer window has seen more than a few requests.
    windows = {window for node in divisions(tree) for window in ranges(node)}
    return bool(amounts) or kept_up or len(windows) > 1


def _filters(node: Node) -> bool:
    return any(str(getattr(inner, "op", "")).split()[:1] in ([">"], [">="]) for inner in walk(node))


def _two_are_enough(tree: Node, lasting: timedelta) -> bool:
    """Whether two failures, each as long in the window as it can be, keep the share high for as long as the rule waits."""
    return lasting < 2 * max(ranges(tree), default=timedelta(0))


def _watches_targets(expr: str) -> bool:
    tree = parsed(expr)
    if tree is None:
        return False
    names = {metric_of(selector) for selector in selectors(tree)}
    return bool(names & {"up", "probe_success"}) or any(
        True for _ in calls(tree, "absent", "absent_over_time")
    )


_STATE_WORDS = re.compile(r"\b(?:circuit|breaker|health check|probe)\b", re.IGNORECASE)


def _flapping_words(subject: Subject) -> Iterator[Defect]:
    """Words that ask for a state to hold: only where there is no rule yet that says how."""
    for runbook, entry in subject.entries:
        words = entry.threshold
        if words is None or words.op != "state" or words.for_ is None or subject.rules_of(entry):
            continue
        if _STATE_WORDS.search(words.raw):
            yield Defect(
                rule="promql/held-state",
                weight=Weight.WARNING,
                file=runbook.path,
                line=next((meta.line for meta in entry.meta if meta.key == "threshold"), entry.line),
                message="taken by its words, a state that flaps never holds that long, and there is no rule here that"
                " says otherwise. Measure the share of time: avg_over_time(…) > 0.5.",
                runbook_says=words.raw,
            )
