"""Family 5: queries that do not say what they mean. What concerns rules alone is in `alerting`, what only a live
Prometheus can show in `series`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from responder.core.defect import Defect, Weight
from responder.runbooks.expressions import (
    Node,
    aggregates,
    bare,
    calls,
    divisions,
    folded,
    grouping,
    is_matched,
    matchers_of,
    metric_of,
    parsed,
    ranges,
    selectors,
    walk,
    why_not,
)
from responder.runbooks.lint.queries import Query, every
from responder.runbooks.lint.subject import Subject


def check(subject: Subject) -> Iterator[Defect]:
    for query in every(subject):
        tree = parsed(query.text)
        if tree is None:
            yield query.defect(
                "promql/syntax", Weight.ERROR, f"does not parse: {why_not(query.text)}. Mend the query."
            )
            continue
        yield from _topk(query, tree)
        yield from _unaggregated(query, tree)
        yield from _quantile(query, tree)
        yield from _gauge(query, tree)
        yield from _attacker_labels(query, tree)


def _topk(query: Query, tree: Node) -> Iterator[Defect]:
    for node in aggregates(tree):
        kind, labels = grouping(node)
        # One of each group is a choice, and groups that were summed before are ranked within a larger one on purpose.
        several = (folded(node.param) or 0) > 1 if node.param is not None else False
        ranks = str(node.op) in {"topk", "bottomk"} and kind == "by" and bool(labels)
        if ranks and several and not _sums(node.expr):
            names = ", ".join(labels)
            message = (
                f"{node.op} by ({names}) ranks inside of each {names}, so it returns everything."
                f" Write {node.op}(k, sum by ({names}) (…))."
            )
            yield query.defect("promql/topk-by", Weight.ERROR, message)


_COUNTING = ("rate", "increase", "irate")


def _unaggregated(query: Query, tree: Node) -> Iterator[Defect]:
    """Counters divided series by series: sides with other labels find no partner, or only themselves."""
    for node in divisions(tree):
        above, below = _counted(node.lhs), _counted(node.rhs)
        if is_matched(node) or _sums(node.lhs) or not above:
            continue
        divisor = bare(node.rhs)
        if _loses_every_label(divisor):
            message = (
                "the lower side is summed and the upper is not, so no series finds its partner and the result is empty."
                " Put sum(…) round each side."
            )
            yield query.defect("promql/ratio-unaggregated", Weight.ERROR, message)
        elif not _sums(node.rhs) and _divides_by_itself(node):
            message = (
                "both sides are matched series by series, so what is selected above divides by itself, and is always 1."
                " Put sum(…) round each side."
            )
            yield query.defect("promql/ratio-unaggregated", Weight.ERROR, message)
        elif not _sums(node.rhs) and query.rule is None and above <= below and len(below) > 1:
            message = (
                "one ratio for every series, and none where the sides have other labels, not the service's."
                " Put sum(…) round each side."
            )
            yield query.defect("promql/ratio-unaggregated", Weight.ERROR, message)


def _counted(node: Node) -> set[str | None]:
    return {metric_of(selector) for call in calls(node, *_COUNTING) for selector in selectors(call)}


def _loses_every_label(node: Node) -> bool:
    aggregated = next(iter([node] if any(node is a for a in aggregates(node)) else []), None)
    return aggregated is not None and str(aggregated.op) == "sum" and grouping(aggregated) == ("by", ())


def _divides_by_itself(node: Node) -> bool:
    """The same counter over the same time, once with a matcher more: its partners are the very same series."""
    upper, lower = list(selectors(node.lhs)), list(selectors(node.rhs))
    if len(upper) != 1 or len(lower) != 1 or metric_of(upper[0]) != metric_of(lower[0]):
        return False
    if ranges(node.lhs) != ranges(node.rhs) or upper[0].offset != lower[0].offset:
        return False
    return _matchers(lower[0]) < _matchers(upper[0])


def _matchers(selector: Node) -> set[tuple[str, str, str]]:
    return {(m.name, str(m.op), m.value) for m in matchers_of(selector)}


def _sums(node: Node) -> bool:
    return any(True for _ in aggregates(node))


def _quantile(query: Query, tree: Node) -> Iterator[Defect]:
    for call in calls(tree, "histogram_quantile"):
        inner = call.args[-1]
        grouped = [node for node in aggregates(inner) if str(node.op) in {"sum", "avg", "max", "min"}]
        without_le = [n for n in grouped if ("le" in grouping(n)[1]) == (grouping(n)[0] == "without")]
        if not any((metric_of(s) or "").endswith("_bucket") for s in selectors(inner)):
            continue
        if without_le:
            message = "the sum loses the label le, so there is no quantile left. Write sum by (le) (…)."
            yield query.defect("promql/quantile-le", Weight.ERROR, message)
        elif not grouped and query.for_service:
            message = (
                "one quantile for every series of every instance, not for the service. Write sum by (le) (…)."
            )
            yield query.defect("promql/quantile-le", Weight.WARNING, message)


# Names that only a gauge has. A counter's rate is what rate() is for; a gauge has delta() and deriv().
_GAUGE = re.compile(
    r"^(?:up|probe_success|go_goroutines|process_open_fds|process_resident_memory_bytes|node_load\d+|pg_stat_activity_count"
    r"|node_memory_\w+_bytes|node_filesystem_\w+_bytes|container_memory_\w+_bytes)$"
    r"|_(?:ratio|percent|info|timestamp_seconds|celsius|state|temperature|in_use|in_flight)$"
)


def _gauge(query: Query, tree: Node) -> Iterator[Defect]:
    for call in calls(tree, *_COUNTING):
        # Of a subquery, the rate may be of anything.
        if any(type(inner).__name__ == "SubqueryExpr" for inner in walk(call)):
            continue
        for selector in selectors(call):
            name = metric_of(selector) or ""
            if _GAUGE.search(name):
                message = f"{name} is a gauge: {call.func.name}() takes each fall for a restart. Use delta() or deriv()."
                yield query.defect("promql/rate-of-gauge", Weight.ERROR, message)


_CHOSEN_BY_ATTACKERS = frozenset({
    "ip", "client_ip", "remote_ip", "source_ip", "src_ip", "remote_addr", "user_id", "username", "email", "session_id",
    "request_id", "trace_id",
})  # fmt: skip


def _attacker_labels(query: Query, tree: Node) -> Iterator[Defect]:
    used = {label for node in aggregates(tree) for label in grouping(node)[1]}
    used |= {matcher.name for selector in selectors(tree) for matcher in matchers_of(selector)}
    if found := sorted(used & _CHOSEN_BY_ATTACKERS):
        message = (
            f"the label {', '.join(found)} has as many values as callers care to send: the attacker decides how much memory"
            " Prometheus needs. Keep it in a log or an audit table."
        )
        yield query.defect("promql/unbounded-label", Weight.WARNING, message)
