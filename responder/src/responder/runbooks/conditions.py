"""Thresholds and spans of time in words: they become typed values, or stay text that a person sees."""

from __future__ import annotations

import re
from datetime import timedelta

from responder.core.runbook import Condition, Unit

_UNITS = r"ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?"
_TIME = re.compile(rf"(\d+(?:\.\d+)?)\s*\+?[\s-]*({_UNITS})\b", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10, "fifteen": 15, "thirty": 30, "sixty": 60, "a": 1, "an": 1,
}  # fmt: skip
_SPELLED = re.compile(
    rf"\b({'|'.join(_WORDS)})\s+(?=(?:seconds?|minutes?|mins?|hours?|days?|weeks?)\b)", re.IGNORECASE
)
_HOLDS = r"(?:for|over|during|in|within|sustained for|lasting|averaged over)"
_SPAN = (
    rf"(?:at\s+least\s+|more\s+than\s+|longer\s+than\s+|over\s+|the\s+(?:last|past)\s+|a\s+|>\s*)*({_TIME.pattern})"
    r"(?:\s*(?:window|period|straight|or (?:more|longer)|consecutively))?"
)
_FOR = re.compile(rf"[\s,;]+\(?{_HOLDS}\s+{_SPAN}\)?[\s.)]*$", re.IGNORECASE)
# "The lag is over 60s" compares: only without a verb in front of it is "over 60s" how long.
_IS_OVER = re.compile(
    r"\b(?:is|are|was|were|goes|go|rises?|stays?|remains?)\s+over\s+(?=[~\u2248]?\d)", re.IGNORECASE
)
_NUMBER = r"(?P<value>\d[\d,]*(?:\.\d+)?)"
_COMPARE = re.compile(
    rf"^\s*(?P<before>[^<>\u2264\u2265=]*?)\s*(?P<op>>=|<=|==|>|<|\u2265|\u2264)\s*{_NUMBER}\s*(?P<after>.*)$",
    re.DOTALL,
)
_OPS = {"\u2265": ">=", "\u2264": "<="}
_COPULA = r"(?:is |are |was |were |has been |have been |stays? |remains? |goes |go |rises |rise |falls |fall |drops |drop |gets )?"
_ADVERB = r"(?:consistently |continuously |again |still )?"
# Comparisons in words, put as signs before they are read. Those with "not" and "at" come before the plain ones.
_SPOKEN = tuple(
    (re.compile(rf"\b{_COPULA}{_ADVERB}(?:{words})\s+(?=[~\u2248]?\d)", re.IGNORECASE), op)
    for op, words in (
        (">= ", "at least|not less than|no less than|greater than or equal to|equal to or (?:greater|more) than|a minimum of"),
        ("<= ", "at most|not more than|no more than|less than or equal to|up to|a maximum of"),
        ("> ", "greater than|more than|higher than|larger than|longer than|above|over|exceed(?:s|ed|ing)?|beyond|surpass(?:es)?"),
        ("< ", "less than|fewer than|lower than|smaller than|shorter than|below|under|to below|beneath"),
    )
)  # fmt: skip
# What would make one comparison of two, or of something else than a number: it stays text.
_SEVERAL = re.compile(r"[<>]=?\s*\d.*[<>]=?\s*\d|\b(?:or|and)\s+(?:\S+\s+){0,4}?[<>]=?\s*\d", re.DOTALL)
_BYTES = {"b": 1, "kb": 1024, "kib": 1024, "mb": 1024**2, "mib": 1024**2, "gb": 1024**3, "gib": 1024**3,
          "tb": 1024**4, "tib": 1024**4, "bytes": 1}  # fmt: skip
_RATE = re.compile(
    r"(?:\s*/\s*|\s+per\s+|\s+a\s+)(s|sec|second|m|min|minute|h|hour)\b|\b(?:rps|qps|ops|tps)\b",
    re.IGNORECASE,
)


def duration(text: str) -> timedelta | None:
    """The first span of time in the words, or None."""
    found = _TIME.search(_SPELLED.sub(_spelled, text))
    if found is None:
        return None
    unit = found[2].lower()
    letter = "ms" if unit.startswith(("ms", "milli")) else unit[0]
    seconds = float(found[1]) * _SECONDS[letter]
    return timedelta(seconds=seconds) if seconds < _LONGEST else None


# A century: what is longer is a slip of the pen, and overflows.
_LONGEST = 3_155_760_000


# A threshold is a phrase; a longer line is prose.
_LONGEST_LINE = 400


def _spelled(found: re.Match[str]) -> str:
    return f"{_WORDS[found[1].lower()]} "


def condition(raw: str) -> Condition:
    """A threshold line. What is no comparison, or more than one, is a state, with the words as its metric."""
    if len(raw) > _LONGEST_LINE:
        return Condition(
            raw=raw, metric=raw, op="state", value=None, unit=Unit.STATE, quantile=None, for_=None
        )
    text = _SPELLED.sub(_spelled, raw.replace("`", "").replace("**", "")).strip().rstrip(".")
    head, for_ = _lasting(_IS_OVER.sub("> ", text))
    for pattern, sign in _SPOKEN:
        head = pattern.sub(sign, head)
    found = _COMPARE.match(head)
    if found is None or _SEVERAL.search(head):
        state, for_ = _lasting(text)
        return Condition(
            raw=raw, metric=state, op="state", value=None, unit=Unit.STATE, quantile=None, for_=for_
        )
    value, unit, after = _unit(float(found["value"].replace(",", "")), found["after"].strip())
    if for_ is None and (inside := _FOR_INSIDE.search(after)):
        # "> 5% for 5 minutes on any node": the words go on after the time.
        for_, after = duration(inside[1]), (after[: inside.start()] + after[inside.end() :]).strip()
    before, quantile = _quantile(found["before"].strip(" :,("))
    metric = " ".join(part for part in (before, after.strip(" ,()")) if part)
    op = _OPS.get(found["op"], found["op"])
    return Condition(raw=raw, metric=metric, op=op, value=value, unit=unit, quantile=quantile, for_=for_)


def _lasting(text: str) -> tuple[str, timedelta | None]:
    """The words without how long they must hold at their end, and that."""
    found = _FOR.search(text)
    return (text[: found.start()], duration(found[1])) if found else (text, None)


_FOR_INSIDE = re.compile(rf"\b{_HOLDS}\s+{_SPAN}", re.IGNORECASE)


def _unit(value: float, after: str) -> tuple[float, Unit, str]:
    if found := re.match(r"%|percent\b|per cent\b", after, re.IGNORECASE):
        return value, Unit.PERCENT, after[found.end() :].strip()
    if found := re.match(r"([kmgt]i?b|b|bytes)\b(?!\s*/|\s+per)", after, re.IGNORECASE):
        return value * _BYTES[found[1].lower()], Unit.BYTES, after[found.end() :].strip()
    if rate := _RATE.search(after):
        per = {"m": 60, "h": 3600}.get((rate[1] or "s")[0].lower(), 1)
        return value / per, Unit.PER_SECOND, (after[: rate.start()] + after[rate.end() :]).strip()
    span = _TIME.match(f"{value:f} {after}")
    if span and (seconds := duration(span[0])) is not None:
        return seconds.total_seconds(), Unit.SECONDS, f"{value:f} {after}"[span.end() :].strip()
    if found := re.match(r"([km])\b", after, re.IGNORECASE):
        return value * {"k": 1e3, "m": 1e6}[found[1].lower()], Unit.COUNT, after[found.end() :].strip()
    return value, Unit.COUNT, after


_QUANTILE = re.compile(
    r"\bp(\d{2,3})(?:\.(\d+))?\b|\b(\d{2})(?:\.(\d+))?(?:th|st|nd|rd)?[- ]percentile\b|\b(median)\b",
    re.IGNORECASE,
)


def _quantile(before: str) -> tuple[str, float | None]:
    found = _QUANTILE.search(before)
    if found is None:
        return before, None
    digits = (found[1] or found[3] or "50") + (found[2] or found[4] or "")
    rest = f"{before[: found.start()].rstrip()} {before[found.end() :].lstrip()}".strip()
    return re.sub(r"^of\s+", "", rest), float(f"0.{digits}")
