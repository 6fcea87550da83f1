"""Family 5: queries and rules that do not say what they mean. What only a live Prometheus can show is in `series`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from responder.core.defect import Defect, Weight
from responder.core.effect import Role
from responder.core.rule import AlertRule
from responder.core.runbook import Kind
from responder.runbooks.expressions import (
    Node,
    aggregates,
    calls,
    children,
    comparisons,
    divisions,
    expanded,
    folded,
    grouping,
    is_matched,
    matchers_of,
    metric_of,
    parsed,
    selectors,
    walk,
    why_not,
)
from responder.runbooks.lint.subject import Subject


@dataclass(frozen=True, kw_only=True)
class _Query:
    """An expression and where it stands; `quantile` says that its entry's threshold is one."""

    text: str
    file: str
    line: int
    rule: AlertRule | None = None
    quantile: bool = False

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


def check(subject: Subject) -> Iterator[Defect]:
    for query in [*_runbook_queries(subject), *_rule_queries(subject)]:
        tree = parsed(query.text)
        if tree is None:
            yield query.defect("promql/syntax", Weight.ERROR, f"does not parse: {why_not(query.text)}")
            continue
        yield from _topk(query, tree)
        yield from _unaggregated(query, tree)
        yield from _quantile(query, tree)
        yield from _gauge(query, tree)
        yield from _attacker_labels(query, tree)
    yield from _alert_rules(subject)
    yield from _flapping_words(subject)


def _runbook_queries(subject: Subject) -> Iterator[_Query]:
    for place in subject.places(Role.DIAGNOSIS, Role.REMEDIATION):
        if place.action.kind is not Kind.PROMQL or place.action.placeholders:
            continue
        threshold = place.entry.threshold
        for statement in place.action.statements:
            # What stands there for other tools to fill in is no query yet.
            if not re.search(r"\$\w|\.\.\.|<\w+>", statement.text):
                yield _Query(
                    text=statement.text,
                    file=place.runbook.path,
                    line=statement.line,
                    quantile=threshold is not None and threshold.quantile is not None,
                )


def _rule_queries(subject: Subject) -> Iterator[_Query]:
    for rule in subject.rules:
        yield _Query(
            text=rule.expr,
            file=rule.file,
            line=rule.expr_line,
            rule=rule,
            quantile="$labels" not in " ".join(rule.annotations.values()),
        )


def _topk(query: _Query, tree: Node) -> Iterator[Defect]:
    for node in aggregates(tree):
        kind, labels = grouping(node)
        # One of each group is a choice, and groups that were summed before are ranked within a larger one on purpose.
        several = (folded(node.param) or 0) > 1 if node.param is not None else False
        if (
            str(node.op) in {"topk", "bottomk"}
            and labels
            and kind == "by"
            and several
            and not _sums(node.expr)
        ):
            names = ", ".join(labels)
            message = (
                f"{node.op} by ({names}) ranks inside of each {names}, so it returns everything."
                f" Write {node.op}(k, sum by ({names}) (…))."
            )
            yield query.defect("promql/topk-by", Weight.ERROR, message)


def _unaggregated(query: _Query, tree: Node) -> Iterator[Defect]:
    """Counters divided series by series: sides with other labels find no partner, or only themselves."""
    for node in divisions(tree):
        if is_matched(node) or _sums(node.lhs) or _sums(node.rhs):
            continue
        above = {
            metric_of(s) for call in calls(node.lhs, "rate", "increase", "irate") for s in selectors(call)
        }
        below = {
            metric_of(s) for call in calls(node.rhs, "rate", "increase", "irate") for s in selectors(call)
        }
        if above and above <= below:
            message = (
                "both sides are matched series by series: what has other labels drops out, what is alike divides by itself."
                " Put sum(…) round each side."
            )
            yield query.defect("promql/ratio-unaggregated", Weight.ERROR, message)


def _sums(node: Node) -> bool:
    return any(True for _ in aggregates(node))


def _quantile(query: _Query, tree: Node) -> Iterator[Defect]:
    for call in calls(tree, "histogram_quantile"):
        inner = call.args[-1]
        sums = [node for node in aggregates(inner) if str(node.op) == "sum"]
        without_le = [n for n in sums if ("le" in grouping(n)[1]) == (grouping(n)[0] == "without")]
        buckets = any((metric_of(s) or "").endswith("_bucket") for s in selectors(inner))
        if buckets and without_le:
            message = "the sum loses the label le, so there is no quantile left. Write sum by (le) (…)."
            yield query.defect("promql/quantile-le", Weight.ERROR, message)
        elif buckets and not sums and query.quantile:
            message = (
                "one quantile for every series of every instance, not for the service. Write sum by (le) (…)."
            )
            yield query.defect("promql/quantile-le", Weight.WARNING, message)


# Names that only a gauge has. A counter's rate is what rate() is for; a gauge has delta() and deriv().
_GAUGE = re.compile(r"^up$|_(?:ratio|percent|info|timestamp_seconds|celsius|state|temperature)$")


def _gauge(query: _Query, tree: Node) -> Iterator[Defect]:
    for call in calls(tree, "rate", "increase", "irate"):
        for selector in selectors(call):
            name = metric_of(selector) or ""
            if _GAUGE.search(name):
                message = f"{name} is a gauge: {call.func.name}() takes each fall for a restart. Use delta() or deriv()."
                yield query.defect("promql/rate-of-gauge", Weight.ERROR, message)


_CHOSEN_BY_ATTACKERS = frozenset({
    "ip", "client_ip", "remote_ip", "source_ip", "src_ip", "remote_addr", "user_id", "username", "email", "session_id",
    "request_id", "trace_id",
})  # fmt: skip


def _attacker_labels(query: _Query, tree: Node) -> Iterator[Defect]:
    used = {label for node in aggregates(tree) for label in grouping(node)[1]}
    used |= {matcher.name for selector in selectors(tree) for matcher in matchers_of(selector)}
    if found := sorted(used & _CHOSEN_BY_ATTACKERS):
        message = (
            f"the label {', '.join(found)} has as many values as callers care to send: the attacker decides how much memory"
            " Prometheus needs. Keep it in a log or an audit table."
        )
        yield query.defect("promql/unbounded-label", Weight.WARNING, message)


# A state that comes and goes while the trouble lasts.
_FLAPS = re.compile(r"breaker|circuit|probe_success|health", re.IGNORECASE)
_ERRORS = re.compile(r"err|fail|5xx", re.IGNORECASE)


def _alert_rules(subject: Subject) -> Iterator[Defect]:
    watched = any(_watches_targets(rule.expr) for rule in subject.rules)
    for rule in subject.rules:
        tree = parsed(rule.expr)
        whole = parsed(expanded(rule.expr, subject.records))
        if tree is None or whole is None:
            continue
        query = _Query(text=rule.expr, file=rule.file, line=rule.expr_line, rule=rule)
        if (rule.severity or "").lower() in _FIRST_SEVERITIES:
            yield from _first_increase(query, whole)
        yield from _held_state(query, whole, rule.for_)
        if _is_error_ratio(whole):
            if not watched:
                message = (
                    "when the target is gone there is no ratio, so this is silent for the whole outage."
                    " Add a rule on up == 0, absent(…) or a probe."
                )
                yield query.defect("promql/silent-when-gone", Weight.ERROR, message)
            if not _has_floor(whole):
                message = (
                    "with little traffic one or two failures are a high share, and page. Add a floor:"
                    " `and sum(rate(…)) > …`."
                )
                yield query.defect("promql/no-traffic-floor", Weight.WARNING, message)


# Where the first one must not be missed; and what is known to start its counters at 0.
_FIRST_SEVERITIES = frozenset({"", "p0", "s1", "sev0", "sev1", "sev-0", "sev-1", "critical", "page"})
_STARTS_AT_ZERO = re.compile(
    r"^(?:prometheus|alertmanager|thanos|node|kube|etcd|go|process|apiserver|coredns|grpc|workqueue)_"
)


def _first_increase(query: _Query, tree: Node) -> Iterator[Defect]:
    if any(str(node.op).split()[0] in {"or", "unless"} for node in walk(tree) if hasattr(node, "lhs")):
        return
    for comparison in comparisons(tree):
        found = [s for call in calls(comparison.left, "increase") for s in selectors(call)]
        if found and _STARTS_AT_ZERO.match(metric_of(found[0]) or ""):
            continue
        if found and (comparison.op, comparison.value) in {(">", 0.0), (">=", 1.0), ("!=", 0.0)}:
            name = metric_of(found[0])
            message = (
                f"{name} may appear for the first time at 1, and then nothing has increased: the first one never fires."
                f" Add `or ({name} unless {name} offset 5m) > 0`, or start every series at 0."
            )
            yield query.defect("promql/first-increase", Weight.ERROR, message)


def _held_state(query: _Query, tree: Node, lasting: timedelta) -> Iterator[Defect]:
    for comparison in comparisons(tree):
        names = [metric_of(s) or "" for s in selectors(comparison.left)]
        averaged = any(
            True
            for _ in calls(
                comparison.left, "avg_over_time", "sum_over_time", "max_over_time", "min_over_time"
            )
        )
        if (
            comparison.op == "=="
            and lasting >= timedelta(minutes=1)
            and not averaged
            and any(map(_FLAPS.search, names))
        ):
            message = (
                "one scrape in the other state begins the wait anew, so what flaps never fires."
                " Write avg_over_time(…[5m]) > 0.5."
            )
            yield query.defect("promql/held-state", Weight.ERROR, message)


def _is_error_ratio(tree: Node) -> bool:
    ratios = (node for node in divisions(tree) if folded(node.rhs) is None)
    return any(_selects_errors(selector) for node in ratios for selector in selectors(node.lhs))


def _selects_errors(selector: Node) -> bool:
    if _ERRORS.search(metric_of(selector) or ""):
        return True
    status = [m for m in matchers_of(selector) if m.name in {"status", "code", "status_code", "http_status"}]
    return any(m.value.startswith("5") or _ERRORS.search(m.value) for m in status)


def _has_floor(tree: Node) -> bool:
    """Whether a comparison of traffic alone stands beside the one of the ratio, or within the ratio's own divisor."""
    amounts = [
        c for c in comparisons(tree) if not any(True for _ in divisions(c.left)) and c.op in {">", ">="}
    ]
    if any(any(True for _ in calls(c.left, "rate", "increase", "irate")) for c in amounts):
        return True
    return any(_filters(node.rhs) for node in divisions(tree))


def _filters(node: Node) -> bool:
    return any(
        str(getattr(inner, "op", "")).split()[:1] in ([">"], [">="]) for inner in (node, *children(node))
    )


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
            line = next((meta.line for meta in entry.meta if meta.key == "threshold"), entry.line)
            yield Defect(
                rule="promql/held-state",
                weight=Weight.WARNING,
                file=runbook.path,
                line=line,
                message="taken by its words, a state that flaps never holds that long, and there is no rule here that"
                " says otherwise. Measure the share of time: avg_over_time(…) > 0.5.",
                runbook_says=words.raw,
            )
