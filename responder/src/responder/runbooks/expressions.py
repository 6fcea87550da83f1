"""What a PromQL expression is made of: its selectors, ranges, calls, and the comparisons that make it fire."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

import promql_parser as ql

COMPARISONS = frozenset({">", ">=", "<", "<=", "==", "!="})
_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}

# promql_parser has no annotations of its own for its nodes.
Node = Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left op value`: the part of an expression that decides. `left` is a node of the tree.

    `ratio` says that `value` is a share of something else: the expression divides, or compares with a part of a series.
    `inner` says that it stands within another comparison, as the `x > 5` of `count(x > 5) > 2`.
    """

    left: Node
    op: str
    value: float
    ratio: bool = False
    inner: bool = False


@lru_cache(maxsize=4096)
def parsed(text: str) -> Node | None:
    """The tree of an expression, or None for what is none."""
    try:
        return ql.parse(_known(text))
    except (ValueError, RecursionError):
        return None


def why_not(text: str) -> str | None:
    """Why a text is no expression; None when it is one."""
    try:
        ql.parse(_known(text))
    except (ValueError, RecursionError) as error:
        return str(error).splitlines()[0][:160]
    return None


def _known(text: str) -> str:
    """What other versions of Prometheus accept and the parser does not, as what it knows."""
    text = text.replace("holt_winters(", "double_exponential_smoothing(")
    text = re.sub(r"(\])\s*(?:smoothed|anchored)\b", r"\1", text)
    return re.sub(r"\b\d{1,3}(?:_\d{3})+\b", lambda found: found[0].replace("_", ""), text)


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending += children(current)


def children(node: Node) -> list[Node]:
    match node:
        case ql.BinaryExpr():
            return [node.lhs, node.rhs]
        case ql.AggregateExpr():
            return [node.expr, *([node.param] if node.param is not None else [])]
        case ql.Call():
            return list(node.args)
        case ql.ParenExpr() | ql.UnaryExpr() | ql.SubqueryExpr():
            return [node.expr]
        case ql.MatrixSelector():
            return [node.vector_selector]
        case _:
            return []


def bare(node: Node) -> Node:
    """Without the parentheses around it."""
    while isinstance(node, ql.ParenExpr):
        node = node.expr
    return node


def folded(node: Node) -> float | None:
    """The number that an expression of numbers is, such as `3 * 1024^3`; None where it has series."""
    node = bare(node)
    if isinstance(node, ql.NumberLiteral):
        return node.val
    if isinstance(node, ql.UnaryExpr):
        inner = folded(node.expr)
        return None if inner is None else -inner
    if isinstance(node, ql.BinaryExpr):
        left, right = folded(node.lhs), folded(node.rhs)
        if left is None or right is None:
            return None
        return _calculated(left, str(node.op), right)
    return None


def _calculated(left: float, op: str, right: float) -> float | None:
    try:
        match op:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
            case "^":
                return float(left**right)
            case "%":
                return left % right
            case _:
                return None
    except (ZeroDivisionError, OverflowError):
        return None


def comparisons(node: Node) -> Iterator[Comparison]:
    """Every comparison of series with a number, left side first, those under `and` and `or` included.

    What follows `unless` decides when not to fire, so it is none of them.
    """
    node = bare(node)
    if not isinstance(node, ql.BinaryExpr):
        for child in children(node) if isinstance(node, ql.AggregateExpr | ql.Call | ql.SubqueryExpr) else []:
            yield from comparisons(child)
        return
    op = str(node.op).split()[0]
    if op in {"and", "or"}:
        yield from comparisons(node.lhs)
        yield from comparisons(node.rhs)
    elif op == "unless":
        yield from comparisons(node.lhs)
    elif op in COMPARISONS:
        yield from _compared(node, op)


def _compared(node: Node, op: str) -> Iterator[Comparison]:
    right, left = folded(node.rhs), folded(node.lhs)
    if right is not None:
        inside = bare(node.lhs)
        if _is_truth(inside, op, right):
            yield from comparisons(inside)
            return
        yield from _scaled(node.lhs, op, right)
        yield from (replace(found, inner=True) for found in comparisons(inside))
    elif left is not None:
        yield from _scaled(node.rhs, _FLIPPED[op], left)
    else:
        yield from _share_of_series(node, op)


def _is_truth(node: Node, op: str, value: float) -> bool:
    """Whether `(x > bool 5) == 1` only asks if the comparison inside is true."""
    asked = (op, value) in {("==", 1.0), (">", 0.0), (">=", 1.0), ("!=", 0.0)}
    return asked and isinstance(node, ql.BinaryExpr) and str(node.op).split()[0] in COMPARISONS


def _share_of_series(node: Node, op: str) -> Iterator[Comparison]:
    """`used > 0.9 * limit` is `used / limit > 0.9`."""
    for side, other, sign in ((node.rhs, node.lhs, op), (node.lhs, node.rhs, _FLIPPED[op])):
        if (factor := _factor(side)) and factor > 0:
            yield Comparison(other, sign, factor, ratio=True)
            return


def _scaled(left: Node, op: str, value: float) -> Iterator[Comparison]:
    """`100 * x > 5` is `x > 0.05`; `x / 1024 > 5` is `x > 5120`; `1 - x < 0.999` is `x > 0.001`."""
    left = bare(left)
    if isinstance(left, ql.BinaryExpr):
        first, second = folded(left.lhs), folded(left.rhs)
        inner_op = str(left.op).split()[0]
        factor = first if first is not None else second
        inner = left.rhs if first is not None else left.lhs
        if inner_op == "*" and factor:
            yield from _scaled(inner, op if factor > 0 else _FLIPPED[op], value / factor)
            return
        if inner_op == "/" and second:
            yield from _scaled(left.lhs, op if second > 0 else _FLIPPED[op], value * second)
            return
        if inner_op == "-" and first is not None:
            yield from _scaled(left.rhs, _FLIPPED[op], first - value)
            return
        if inner_op in {"+", "-"} and factor is not None:
            yield from _scaled(inner, op, value - factor if inner_op == "+" else value + factor)
            return
        if inner_op == "/" and (part := _factor(left.lhs)):
            # `100 * a / b` is `(100 * a) / b`.
            op, value = op if part > 0 else _FLIPPED[op], value / part
    yield Comparison(left, op, value, ratio=any(True for _ in divisions(left)))


def _factor(node: Node) -> float | None:
    node = bare(node)
    if not isinstance(node, ql.BinaryExpr) or str(node.op).split()[0] != "*":
        return None
    first = folded(node.lhs)
    return folded(node.rhs) if first is None else first


def selectors(node: Node) -> Iterator[Node]:
    return (inner for inner in walk(node) if isinstance(inner, ql.VectorSelector))


def metric_of(selector: Node) -> str | None:
    """The name of a selector's metric: before the braces, or matched as `__name__`."""
    if selector.name:
        return str(selector.name)
    return next(
        (m.value for m in matchers_of(selector) if m.name == "__name__" and str(m.op).endswith("Equal")), None
    )


def matchers_of(selector: Node) -> list[Any]:
    return list(selector.matchers.matchers)


def ranges(node: Node) -> list[timedelta]:
    """The windows of the expression, `[5m]` and those of subqueries."""
    found = [inner.range for inner in walk(node) if isinstance(inner, ql.MatrixSelector | ql.SubqueryExpr)]
    return [window for window in found if window is not None]


def calls(node: Node, *names: str) -> Iterator[Node]:
    return (inner for inner in walk(node) if isinstance(inner, ql.Call) and inner.func.name in names)


def aggregates(node: Node) -> Iterator[Node]:
    return (inner for inner in walk(node) if isinstance(inner, ql.AggregateExpr))


def grouping(node: Node) -> tuple[str, tuple[str, ...]]:
    """`by` or `without` and the labels of an aggregation; `by` of nothing where it has no grouping."""
    if node.modifier is None:
        return "by", ()
    kind = "without" if "without" in str(node.modifier.type).lower() else "by"
    return kind, tuple(node.modifier.labels)


def divisions(node: Node) -> Iterator[Node]:
    """Those of series by series: to divide by a number is to measure in another unit."""
    return (
        inner
        for inner in walk(node)
        if isinstance(inner, ql.BinaryExpr) and str(inner.op).split()[0] == "/" and folded(inner.rhs) is None
    )


def is_matched(node: Node) -> bool:
    """Whether a binary operation says with `on` or `ignoring` how its sides are matched."""
    return node.modifier is not None and getattr(node.modifier, "matching", None) is not None


_NAME = re.compile(r"(?<![\w:{\"'])([a-zA-Z_:][\w:]*)(?![\w:]*\s*\()")


def expanded(text: str, records: Mapping[str, str], *, depth: int = 4) -> str:
    """The expression with the recording rules that it names written out, so that it can be compared with words."""
    for _ in range(depth):
        found = _NAME.sub(lambda m: f"({records[m[1]]})" if m[1] in records else m[0], text)
        if found == text or len(found) > 20_000:
            break
        text = found
    return text
