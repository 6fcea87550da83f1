"""PromQL reads only; what it may cost is bounded by its ranges."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

import promql_parser

from responder.core.effect import Effect, Statement

# A longer range loads more samples than an investigation should ask of a Prometheus that is already in trouble.
RANGE_LIMIT = timedelta(days=31)
_RANGE = re.compile(r"\[\s*((?:\d+(?:ms|s|m|h|d|w|y))+)\s*(?::[^\]]*)?\]")
_PART = re.compile(r"(\d+)(ms|s|m|h|d|w|y)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


# The parser's stack is the program's: what is nested deeper, or longer, is no query that a person wrote.
LONGEST = 10_000
DEEPEST = 50


def _parse(text: str) -> object:
    """The expression. Raises ValueError for what is none."""
    if (
        len(text) > LONGEST
        or max(text.count(sign) for sign in "([{-+") > 40 * DEEPEST
        or _depth(text) > DEEPEST
    ):
        raise ValueError("too long or too deeply nested")
    return promql_parser.parse(text)


def _depth(text: str) -> int:
    depth = deepest = 0
    for sign in re.findall(r"[()\[\]{}]", text):
        depth += 1 if sign in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


def promql(text: str, line: int) -> Statement:
    if fault := _fault(text):
        reason = f"does not parse as PromQL: {fault}"
        return Statement(text=text, line=line, effect=Effect.UNKNOWN, bounded=False, reason=reason)
    longest = max((_length(found) for found in _RANGE.findall(text)), default=timedelta())
    if longest > RANGE_LIMIT:
        reason = f"a range of {longest.days} days; the limit is {RANGE_LIMIT.days}"
        return Statement(text=text, line=line, effect=Effect.READ, bounded=False, reason=reason)
    return Statement(text=text, line=line, effect=Effect.READ, bounded=True, reason="a query reads only")


def _length(written: str) -> timedelta:
    seconds = sum(int(n) * _SECONDS[unit] for n, unit in _PART.findall(written))
    return timedelta(seconds=min(seconds, 10 * _SECONDS["y"]))


@lru_cache(maxsize=1024)
def _fault(text: str) -> str:
    """What the parser says against a text; nothing for a query. The same text is asked about more than once."""
    try:
        _parse(text)
    except ValueError as error:
        return (str(error).splitlines() or ["no query"])[0][:120] or "no query"
    return ""


def parses(text: str) -> bool:
    return not _fault(text)


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
        return _parse(text)
    except ValueError:
        return None
