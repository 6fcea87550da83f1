"""What a threshold in words asks for: the numbers that it may mean, in the unit in which they can be compared."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from responder.core.runbook import Condition, Unit
from responder.runbooks.conditions import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the words ask for. `values` are the numbers that they may mean: a GB is 1000³ or 1024³ bytes.

    `window` is the time in which a count is reached, in seconds; `average` that a mean is meant; `alone` that the rule has
    a single comparison, so that it can be no guard.
    """

    op: str
    values: tuple[float, ...]
    unit: Unit
    quantile: float | None
    window: float | None
    per_second: bool = False
    average: bool = False
    alone: bool = False


MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
_PER = re.compile(
    r"^\s*(?:[\w-]+\s+){0,3}?(?:[\w-]*\s*/\s*|per\s+|a\s+|each\s+|every\s+)(min|minute|h|hr|hour|day|d)\b",
    re.IGNORECASE,
)
_PER_SECONDS = {"m": MINUTE, "h": HOUR, "d": DAY}
_WITHIN = re.compile(
    r"\b(?:in|within|over|during)\s+(?:the\s+|any\s+|a\s+)?(?:last\s+|past\s+|previous\s+)?(?P<span>\d[\w. ]*|minute|hour|day)",
    re.IGNORECASE,
)
_PERCENTILE = re.compile(r"\b(\d{2}(?:\.\d+)?)\s*(?:th|st|nd|rd)\s+percentile\b", re.IGNORECASE)
# What is measured in none of the units that a rule can be compared in.
_FOREIGN = re.compile(
    r"^\s*(?:[kmgt]?(?:bps|bits?)\b|[kmgt]?b/s|°|degrees|celsius|x\b|times\b)", re.IGNORECASE
)
_SIZE = re.compile(
    r"(\d[\d,]*(?:\.\d+)?)\s*([kmgtp])(i?)b\b(?P<speed>\s*(?:/|\bper\s+)s(?:ec(?:ond)?)?\b)?", re.IGNORECASE
)
_SPAN = {"week": 7 * DAY, "year": 365 * DAY}


def wanted_by(words: Condition) -> Wanted | None:
    """None for a state, and for a unit that is not known."""
    if words.value is None:
        return None
    wanted = Wanted(
        op=words.op, values=(words.value,), unit=words.unit, quantile=words.quantile or _percentile(words.raw),
        window=window(words.raw), average=bool(re.search(r"\b(?:average|avg|mean)\b", words.raw, re.IGNORECASE)),
    )  # fmt: skip
    if size := _SIZE.search(words.raw):
        return _sized(wanted, size)
    return _counted(wanted, _after_number(words)) if words.unit is Unit.COUNT else wanted


def _percentile(raw: str) -> float | None:
    if re.search(r"\bmedian\b", raw, re.IGNORECASE):
        return 0.5
    found = _PERCENTILE.search(raw)
    return float(found[1]) / 100 if found else None


def window(raw: str) -> float | None:
    """The seconds of `in 5 minutes`, `within the last hour`: the time in which something is counted or averaged."""
    found = _WITHIN.search(raw)
    if found is None:
        return None
    span = duration(found["span"]) or duration(f"1 {found['span']}")
    return span.total_seconds() if span else None


def _sized(wanted: Wanted, size: re.Match[str]) -> Wanted:
    number, power = float(size[1].replace(",", "")), "kmgtp".index(size[2].lower()) + 1
    bases = (1024,) if size[3] else (1024, 1000)
    values = tuple(number * base**power for base in bases)
    return replace(wanted, values=values, unit=Unit.BYTES, per_second=size["speed"] is not None)


def _after_number(words: Condition) -> str:
    for found in re.finditer(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", words.raw):
        if float(found[0].replace(",", "")) == words.value:
            return words.raw[found.end() :]
    return ""


def _counted(wanted: Wanted, after: str) -> Wanted | None:
    if _FOREIGN.match(after):
        return None
    value = wanted.values[0]
    unit = re.match(r"\s*([A-Za-z]+)", after)
    word = unit[1].lower().rstrip("s") if unit else ""
    if per := _PER.match(after):
        return replace(wanted, values=(value / _PER_SECONDS[per[1][0].lower()],), unit=Unit.PER_SECOND)
    if word == "month":
        return None
    if word in _SPAN:
        return replace(wanted, values=(value * _SPAN[word],), unit=Unit.SECONDS)
    if re.match(r"[km]\b", after, re.IGNORECASE):
        return replace(wanted, values=(value * {"k": 1e3, "m": 1e6}[after[0].lower()],))
    return wanted
