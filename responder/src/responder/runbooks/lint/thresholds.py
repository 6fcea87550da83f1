"""A threshold in words against an expression. Only what surely measures the same, and is not the same, disagrees."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from responder.core.defect import Comparison
from responder.core.runbook import Condition, Unit
from responder.runbooks import expressions as ql
from responder.runbooks.lint.wanted import DAY, HOUR, MINUTE, Wanted, wanted_by


def same_threshold(words: Condition, tree: ql.Node) -> tuple[Comparison, ql.Comparison | None]:
    """The answer, and the comparison that it is about. A guard, such as a floor of traffic, measures something else."""
    wanted = wanted_by(words)
    if wanted is None:
        return Comparison.NOT_COMPARABLE, None
    found = list(ql.comparisons(tree))
    wanted = replace(wanted, alone=len([one for one in found if not one.inner]) == 1)
    answers = [(_answer(wanted, one), one) for one in found]
    for wish, comparison in ((True, Comparison.AGREE), (False, Comparison.DISAGREE)):
        if match := next((one for answer, one in answers if answer is wish), None):
            return comparison, match
    return Comparison.NOT_COMPARABLE, None


def _answer(wanted: Wanted, found: ql.Comparison) -> bool | None:
    """None where the expression measures something else, or where that is not sure."""
    answer = _MEASURES[wanted.unit](wanted, found)
    unsure = found.inner or any(True for _ in ql.comparisons(found.left))
    if answer is False and (unsure or (wanted.unit is Unit.COUNT and not wanted.alone)):
        return None
    return answer


def _percent(wanted: Wanted, found: ql.Comparison) -> bool | None:
    share = found.ratio or _named(found.left, "ratio", "availab", "utili", "error_rate")
    in_percent = _named(found.left, "percent", "pct", "_perc")
    if any(True for _ in ql.calls(found.left, "histogram_quantile", "time")) or not (
        share or in_percent or (wanted.alone and 0 < found.value < 1)
    ):
        return None
    percent = wanted.values[0]
    # A division gives a share of 1, unless its parts are measured in percent.
    scales = (1.0,) if found.ratio and not in_percent else (1.0, 100.0)
    same = any(_same_number(wanted.op, found.op, percent / 100 * scale, found.value) for scale in scales)
    complement = _against(wanted.op, found.op) and any(
        _close((1 - percent / 100) * scale, found.value) for scale in scales
    )
    if same or complement:
        return True
    return False if (share or in_percent) and found.op not in {"==", "!="} else None


def _seconds(wanted: Wanted, found: ql.Comparison) -> bool | None:
    if found.ratio and (share := _share_within(wanted, found)) is not None:
        return share
    quantiles = _quantiles(found.left)
    mean = found.ratio and _named(found.left, "_sum") and _named(found.left, "_count")
    if wanted.quantile is not None:
        if not quantiles:
            return None
        if not any(_close(wanted.quantile, q) for q in quantiles):
            return False
    elif wanted.average:
        if not mean:
            return None
    elif not quantiles and not mean and (found.ratio or not _is_time(found.left)):
        return None
    scale = next((scale for ending, scale in _TIME_UNITS if _named(found.left, ending)), 1.0)
    if _along(wanted.op, found.op):
        return _close(wanted.values[0] * scale, found.value)
    return None


# Metrics that are not measured in seconds say so in their name.
_TIME_UNITS = (
    ("millis", 1e3), ("_ms", 1e3), ("micros", 1e6), ("nanos", 1e9), ("_minutes", 1 / MINUTE), ("_hours", 1 / HOUR),
    ("_days", 1 / DAY),
)  # fmt: skip


def _is_time(node: ql.Node) -> bool:
    if any(True for _ in ql.calls(node, "rate", "irate", "increase")):
        return False
    return any(True for _ in ql.calls(node, "time")) or _named(
        node, "_seconds", *(name for name, _ in _TIME_UNITS)
    )


def _quantiles(node: ql.Node) -> list[float]:
    computed = [ql.folded(call.args[0]) for call in ql.calls(node, "histogram_quantile")]
    matched = [m.value for s in ql.selectors(node) for m in ql.matchers_of(s) if m.name == "quantile"]
    return [
        *(q for q in computed if q is not None),
        *(float(q) for q in matched if re.fullmatch(r"[\d.]+", q)),
    ]


def _share_within(wanted: Wanted, found: ql.Comparison) -> bool | None:
    """`p95 > 5 seconds` as the share of what took longer: more than 5% beyond the bucket of 5 s, or less than 95% within."""
    if wanted.quantile is None:
        return None
    edges = [m.value for s in ql.selectors(found.left) for m in ql.matchers_of(s) if m.name == "le"]
    same_edge = any(re.fullmatch(r"[\d.]+", e) and _close(float(e), wanted.values[0]) for e in edges)
    shares = (1 - wanted.quantile, wanted.quantile)
    return True if same_edge and any(_close(share, found.value) for share in shares) else None


def _bytes(wanted: Wanted, found: ql.Comparison) -> bool | None:
    moving = any(True for _ in ql.calls(found.left, "rate", "irate", "increase", "deriv"))
    if found.ratio or moving is not wanted.per_second or not _named(found.left, "bytes"):
        return None
    return _by_value(wanted, found)


def _per_second(wanted: Wanted, found: ql.Comparison) -> bool | None:
    if found.ratio or _quantiles(found.left):
        return None
    if any(True for _ in ql.calls(found.left, "rate", "irate")) or _named(found.left, ":rate", "per_second"):
        return _by_value(wanted, found)
    windows = [w.total_seconds() for call in ql.calls(found.left, "increase") for w in ql.ranges(call)]
    return _by_value(_times(wanted, windows[0]), found) if len(windows) == 1 else None


def _times(wanted: Wanted, factor: float) -> Wanted:
    return replace(wanted, values=tuple(value * factor for value in wanted.values))


def _count(wanted: Wanted, found: ql.Comparison) -> bool | None:
    other = found.ratio or _quantiles(found.left) or any(True for _ in ql.calls(found.left, "time"))
    if other or _named(found.left, "_seconds", "_bytes", "ratio", "percent", "pct"):
        return None
    rates = any(True for _ in ql.calls(found.left, "rate", "irate", "deriv"))
    windows = [w.total_seconds() for w in ql.ranges(found.left)]
    if rates:
        return _by_value(_times(wanted, 1 / wanted.window), found) if wanted.window else None
    if wanted.window and windows and wanted.window not in windows:
        return None
    return _by_value(wanted, found)


_MEASURES: Mapping[Unit, Callable[[Wanted, ql.Comparison], bool | None]] = {
    Unit.PERCENT: _percent,
    Unit.SECONDS: _seconds,
    Unit.BYTES: _bytes,
    Unit.PER_SECOND: _per_second,
    Unit.COUNT: _count,
    Unit.STATE: lambda _wanted, _found: None,
}


def _by_value(wanted: Wanted, found: ql.Comparison) -> bool | None:
    if any(_same_number(wanted.op, found.op, value, found.value) for value in wanted.values):
        return True
    if wanted.unit is Unit.COUNT and any(
        _same_count(wanted.op, found.op, v, found.value) for v in wanted.values
    ):
        return True
    return False if _along(wanted.op, found.op) else None


def _same_number(one: str, other: str, value: float, limit: float) -> bool:
    return _along(one, other) and _close(value, limit)


def _same_count(one: str, other: str, value: float, limit: float) -> bool:
    """What is counted has no numbers in between: `>= 3` is `> 2`, and `< 1` is `== 0`."""
    if limit == 0 and other in {"==", "!="}:
        return (one, value) in {"==": {("<", 1.0), ("<=", 0.0)}, "!=": {(">", 0.0), (">=", 1.0)}}[other]
    return _along(one, other) and _first_met(one, value) == _first_met(other, limit)


def _first_met(op: str, value: float) -> float:
    """The first whole number, seen from the other side, that fulfils `op value`."""
    return {
        ">": math.floor(value) + 1, ">=": math.ceil(value), "<": math.ceil(value) - 1, "<=": math.floor(value),
    }.get(op, value)  # fmt: skip


def _close(one: float, other: float) -> bool:
    # 100,000 a minute is written as 1666 a second.
    rounded = not one.is_integer() and other.is_integer() and abs(other) >= 100 and abs(one - other) < 1
    return rounded or math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)


def _along(one: str, other: str) -> bool:
    return one[0] == other[0]


def _against(one: str, other: str) -> bool:
    return {one[0], other[0]} == {"<", ">"}


def _named(node: ql.Node, *parts: str) -> bool:
    return any(part in name for name in _names(node) for part in parts)


def _names(node: ql.Node) -> Iterator[str]:
    return ((ql.metric_of(selector) or "").lower() for selector in ql.selectors(node))


def spoken(words: Condition) -> str:
    """`p95 >5 s`, for a message."""
    unit: Mapping[Unit, str] = {
        Unit.PERCENT: "%",
        Unit.SECONDS: " s",
        Unit.PER_SECOND: "/s",
        Unit.BYTES: " bytes",
    }
    quantile = f"p{words.quantile * 100:g} " if words.quantile else ""
    return f"{quantile}{words.op}{words.value:g}{unit.get(words.unit, '')}"


def measured(found: ql.Comparison, words: Condition) -> str:
    """What the rule asks for, in the words' own unit where that is a share."""
    quantiles: Sequence[float] = _quantiles(found.left)
    quantile = f"p{quantiles[0] * 100:g} " if quantiles else ""
    share = f" ({found.value * 100:g}%)" if words.unit is Unit.PERCENT and abs(found.value) < 1 else ""
    return f"{quantile}{found.op} {found.value:g}{share}"
