"""Thresholds, time boxes and escalation lines: words become typed values, or stay text that a person sees."""

from __future__ import annotations

import re
from dataclasses import replace
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
# Comparisons in words, put as signs before they are read.
_SPOKEN = tuple(
    (
        re.compile(
            rf"\b(?:is |are |was |has been |stays? |goes |rises |falls |drops )?(?:{words})\s+(?=\d)",
            re.IGNORECASE,
        ),
        op,
    )
    for op, words in (
        (">= ", "at least|not less than|no less than"),
        ("<= ", "at most|not more than|no more than"),
        ("> ", "greater than|more than|higher than|larger than|above|over|exceed(?:s|ing)?|beyond"),
        ("< ", "less than|fewer than|lower than|smaller than|below|under"),
    )
)
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
    for pattern, sign in _SPOKEN:
        head = pattern.sub(sign, head)
    found = _COMPARE.match(head.replace("`", ""))
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


_ROLES = re.compile(
    r"\b(?:page|notify|contact|escalate to|engage|call|alert|inform|reach out to|ping)\s+(?P<who>[^:;.(]+)",
    re.IGNORECASE,
)
_SEVERITY = re.compile(r"\b(P[0-5]|SEV-?[0-5])\b", re.IGNORECASE)
_RAISE = re.compile(r"\b(?:escalate|raise|upgrade)(?: it| this)? to (P[0-5]|SEV-?[0-5])\b", re.IGNORECASE)
_ELAPSED = re.compile(
    r"\b(?:after|within|for more than|longer than)\b|\bno (?:improvement|progress|response|ack)",
    re.IGNORECASE,
)
_EFFECTS = (
    ("report", r"\bfile\b|\breport\b"),
    ("page", r"\bpage\b|\bcall\b"),
    ("page", r"\bescalate to\b"),
    ("contact", r"\bcontact\b|\bengage\b|\breach out\b"),
    ("notify", r"\bnotify\b|\bnotification\b|\binform\b|\bping\b"),
)


def escalation(raw: str, *, line: int, threshold: Condition | None = None) -> EscalationRule:
    """One line of an escalation section. A bare measure, as in `Persistent >10s`, is of the entry's own `threshold`."""
    words = re.sub(r"\*\*|`", "", raw).strip()
    head, colon, tail = words.partition(":")
    raised = _RAISE.search(words)
    trigger = _trigger(head if colon else words)
    severity = raised or (_SEVERITY.search(head) if trigger == "severity" else None)
    return EscalationRule(
        raw=words,
        trigger=trigger,
        targets=_targets(tail if colon else words),
        line=line,
        effect="raise_severity" if raised else _effect(tail if colon else words),
        severity=severity[1].upper() if severity else None,
        after=duration(head if colon else words) if trigger == "elapsed" else None,
        condition=_measure(head if colon else words, threshold) if trigger == "condition" else None,
    )


def _measure(head: str, threshold: Condition | None) -> Condition:
    found = condition(re.sub(r"^\s*(if\s+)?persist\w*\s*", "", head, flags=re.IGNORECASE))
    if threshold is None or found.metric or found.unit is not threshold.unit:
        return found
    # "Persistent" gives no time: the entry's own is the only one that its author can have meant.
    return replace(
        found, metric=threshold.metric, quantile=threshold.quantile, for_=found.for_ or threshold.for_
    )


def _effect(words: str) -> str | None:
    return next((effect for effect, pattern in _EFFECTS if re.search(pattern, words, re.IGNORECASE)), None)


def _trigger(head: str) -> str:
    lowered = head.lower()
    if duration(head) and _ELAPSED.search(head):
        return "elapsed"
    if lowered.startswith(("required", "mandatory", "always must")):
        return "duty"
    if condition(head).op != "state":
        return "condition"
    if _SEVERITY.search(head):
        return "severity"
    if lowered.startswith("always"):
        return "always"
    return "event"


def _targets(words: str) -> tuple[str, ...]:
    found = _ROLES.search(words)
    if found is None:
        return ()
    who = re.sub(
        r"\b(immediately|at once|right away|and prepare.*|with .*|via .*|if .*|when .*|for .*|on slack.*)$",
        "",
        found["who"].strip(),
        flags=re.IGNORECASE,
    )
    parts = re.split(r",|\band\b|/|&", who)
    names = [
        re.sub(r"^(the|a|an|your|our)\s+", "", part.strip(), flags=re.IGNORECASE).rstrip(".")
        for part in parts
    ]
    return tuple(name for name in names if name and not _SEVERITY.fullmatch(name))
