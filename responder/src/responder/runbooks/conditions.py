"""Thresholds, time boxes and escalation lines: words become typed values, or stay text that a person sees."""

from __future__ import annotations

import re
from datetime import timedelta

from responder.core.runbook import Condition, EscalationRule, Unit

_TIME = re.compile(
    r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\b",
    re.IGNORECASE,
)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FOR = re.compile(r"\s+for\s+(?:at\s+least\s+|more\s+than\s+)?(" + _TIME.pattern + r")\s*$", re.IGNORECASE)
_COMPARE = re.compile(
    r"^\s*(?P<before>[^<>≤≥]*?)\s*(?P<op>>=|<=|>|<|≥|≤)\s*(?P<value>\d[\d,]*(?:\.\d+)?)\s*(?P<after>.*)$"
)
_OPS = {"≥": ">=", "≤": "<="}
_BYTES = {"b": 1, "kb": 1024, "kib": 1024, "mb": 1024**2, "mib": 1024**2, "gb": 1024**3, "gib": 1024**3}


def duration(text: str) -> timedelta | None:
    """The first span of time in the words, or None."""
    found = _TIME.search(text)
    if found is None:
        return None
    unit = found[2].lower()
    letter = "ms" if unit.startswith(("ms", "milli")) else unit[0]
    return timedelta(seconds=float(found[1]) * _SECONDS[letter])


def condition(raw: str) -> Condition:
    """A threshold line. What is no comparison is a state, with the words as its metric."""
    text = raw.strip()
    lasting = _FOR.search(text)
    for_ = duration(lasting[1]) if lasting else None
    head = text[: lasting.start()] if lasting else text
    found = _COMPARE.match(head)
    if found is None:
        return Condition(
            raw=raw, metric=head, op="state", value=None, unit=Unit.STATE, quantile=None, for_=for_
        )
    value, unit, after = _unit(float(found["value"].replace(",", "")), found["after"].strip())
    before, quantile = _quantile(found["before"].strip())
    metric = " ".join(part for part in (before, after) if part)
    op = _OPS.get(found["op"], found["op"])
    return Condition(raw=raw, metric=metric, op=op, value=value, unit=unit, quantile=quantile, for_=for_)


def _unit(value: float, after: str) -> tuple[float, Unit, str]:
    if after.startswith("%"):
        return value, Unit.PERCENT, after[1:].strip()
    if found := re.match(r"(b|[kmg]i?b)\b", after, re.IGNORECASE):
        return value * _BYTES[found[1].lower()], Unit.BYTES, after[found.end() :].strip()
    if re.search(r"(/|\bper\s+)s(ec(ond)?)?\b", after, re.IGNORECASE):
        return (
            value,
            Unit.PER_SECOND,
            re.sub(r"(/|\bper\s+)s(ec(ond)?)?\b", "", after, flags=re.IGNORECASE).strip(),
        )
    span = _TIME.match(f"{value:g} {after}")
    if span and (seconds := duration(span[0])) is not None:
        rest = f"{value:g} {after}"[span.end() :].strip()
        return seconds.total_seconds(), Unit.SECONDS, rest
    return value, Unit.COUNT, after


def _quantile(before: str) -> tuple[str, float | None]:
    found = re.search(r"\bp(\d{2,3})(?:\.(\d+))?\b", before, re.IGNORECASE)
    if found is None:
        return before, None
    digits = found[1] + (found[2] or "")
    quantile = float(f"0.{digits}")
    return (before[: found.start()] + before[found.end() :]).strip(), quantile


_ROLES = re.compile(r"\b(?:page|notify|contact|escalate to|engage|call)\s+(?P<who>[^:;.]+)", re.IGNORECASE)
_NOT_ROLES = frozenset({"p0", "p1", "p2"})


def escalation(raw: str, *, line: int) -> EscalationRule:
    """One line of an escalation section."""
    words = re.sub(r"\*\*", "", raw).strip()
    head, _, _ = words.partition(":")
    after = duration(head) if re.search(r"\bafter\b", head, re.IGNORECASE) else None
    return EscalationRule(raw=words, trigger=_trigger(head), targets=_targets(words), line=line, after=after)


def _trigger(head: str) -> str:
    lowered = head.lower()
    if re.search(r"\bafter\b.*\d", lowered):
        return "elapsed"
    if lowered.startswith("required"):
        return "duty"
    if re.search(r"[<>]\s*\d", lowered):
        return "condition"
    if re.search(r"\bp[0-4]\b|\bsev", lowered):
        return "severity"
    return "event"


def _targets(words: str) -> tuple[str, ...]:
    found = _ROLES.search(words)
    if found is None:
        return ()
    who = re.sub(r"\b(immediately|and prepare.*|with .*)$", "", found["who"], flags=re.IGNORECASE)
    parts = re.split(r",|\band\b", who)
    names = [re.sub(r"^(the|a)\s+", "", part.strip(), flags=re.IGNORECASE).rstrip(".") for part in parts]
    return tuple(name for name in names if name and name.lower() not in _NOT_ROLES)
