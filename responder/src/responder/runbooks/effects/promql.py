"""PromQL reads only; what it may cost is bounded by its ranges."""

from __future__ import annotations

import re
from datetime import timedelta

import promql_parser

from responder.core.effect import Effect, Statement

# A longer range loads more samples than an investigation should ask of a Prometheus that is already in trouble.
RANGE_LIMIT = timedelta(days=31)
_RANGE = re.compile(r"\[\s*((?:\d+(?:ms|s|m|h|d|w|y))+)\s*(?::[^\]]*)?\]")
_PART = re.compile(r"(\d+)(ms|s|m|h|d|w|y)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def promql(text: str, line: int) -> Statement:
    try:
        promql_parser.parse(text)
    except ValueError as error:
        reason = f"does not parse as PromQL: {str(error).splitlines()[0][:120]}"
        return Statement(text=text, line=line, effect=Effect.UNKNOWN, bounded=False, reason=reason)
    longest = max((_length(found) for found in _RANGE.findall(text)), default=timedelta())
    if longest > RANGE_LIMIT:
        reason = f"a range of {longest.days} days; the limit is {RANGE_LIMIT.days}"
        return Statement(text=text, line=line, effect=Effect.READ, bounded=False, reason=reason)
    return Statement(text=text, line=line, effect=Effect.READ, bounded=True, reason="a query reads only")


def _length(written: str) -> timedelta:
    return timedelta(seconds=sum(int(n) * _SECONDS[unit] for n, unit in _PART.findall(written)))


def parses(text: str) -> bool:
    try:
        promql_parser.parse(text)
    except ValueError:
        return False
    return True


def measures_ratio(text: str) -> bool:
    """Whether the expression is a division: what a threshold in percent is compared with."""
    node = _parsed(text)
    while isinstance(node, promql_parser.ParenExpr):
        node = node.expr
    return isinstance(node, promql_parser.BinaryExpr) and str(node.op) == "/"


def measures_quantile(text: str) -> float | None:
    """The quantile that the expression computes, or None."""
    node = _parsed(text)
    if isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile":
        first = node.args[0]
        return first.val if isinstance(first, promql_parser.NumberLiteral) else None
    return None


def _parsed(text: str) -> object:
    try:
        return promql_parser.parse(text)
    except ValueError:
        return None
