"""Time, compressed for drills: rules, runbook and policies shrink together, so that an hour's story fits into a minute.

The programs under drill know nothing of it: they are given copies with shorter times. What is not a time to wait (a
threshold of 5 seconds of latency, a bucket's edge) is left as it is.
"""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = r"\d+(?:ms|[smhdw])"
_WORDS = {
    "second": 1.0, "seconds": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0,
    "m": 60.0, "hour": 3600.0, "hours": 3600.0, "h": 3600.0, "day": 86400.0, "days": 86400.0,
}  # fmt: skip
_TIME = r"(\d+(?:\.\d+)?)\s*(" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")\b"

# Of a policy's durations, those that people wait for. How long the machine may take is not among them.
POLICY_KEYS = ("after", "repeat_after", "settle")


def shorter(duration: str, scale: float) -> str:
    """`5m` at 30 is `10s`. Never less than a millisecond."""
    number, unit = re.fullmatch(r"(\d+)(ms|[smhdw])", duration, re.IGNORECASE).groups()  # pyright: ignore[reportOptionalMemberAccess]
    milliseconds = max(1, round(int(number) * _SECONDS[unit] * 1000 / scale))
    if milliseconds % 60_000 == 0:
        return f"{milliseconds // 60_000}m"
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def promql(text: str, scale: float) -> str:
    """Ranges, subqueries, offsets, and how far predictions look ahead."""

    def ranged(found: re.Match[str]) -> str:
        return re.sub(_DURATION, lambda d: shorter(d[0], scale), found[0])

    text = re.sub(rf"\[\s*{_DURATION}(?:\s*:\s*(?:{_DURATION})?)?\s*\]", ranged, text)
    text = re.sub(rf"\boffset\s+{_DURATION}", ranged, text)
    return re.sub(
        r"(predict_linear\([^()]*,\s*)(\d+)(?=\))", lambda ahead: ahead[1] + _ahead(ahead[2], scale), text
    )


def _ahead(seconds: str, scale: float) -> str:
    """How far a prediction looks ahead, in seconds."""
    return f"{int(seconds) / scale:g}"


def rules(text: str, scale: float) -> str:
    """A rule file: its expressions, `for`, `keep_firing_for` and the groups' intervals."""
    return _keys(promql(text, scale), ("for", "keep_firing_for", "interval"), scale)


def alertmanager(text: str, scale: float) -> str:
    return _keys(text, ("group_wait", "group_interval", "repeat_interval"), scale)


def _keys(text: str, keys: tuple[str, ...], scale: float) -> str:
    pattern = rf"(?m)^(\s*(?:- )?(?:{'|'.join(keys)}):\s*)({_DURATION})\s*$"
    return re.sub(pattern, lambda found: found[1] + shorter(found[2], scale), text)


def policy(text: str, scale: float) -> str:
    """A policy file: the durations that people wait for."""
    pattern = rf'(?m)^({"|".join(POLICY_KEYS)})(\s*=\s*)"({_DURATION})"'
    return re.sub(pattern, lambda found: f'{found[1]}{found[2]}"{shorter(found[3], scale)}"', text)


def runbook(text: str, scale: float) -> str:
    """A runbook: the times that its words allow, and its queries' ranges. Every line stays in its place."""
    return "\n".join(_line(line, scale) for line in promql(text, scale).split("\n"))


# "(< 5 min)" and "(within 48 hours)" of a heading or a label, "Within 1 hour" of a label, "after 15 min:" of an escalation.
_ALLOWED = re.compile(rf"\(\s*(?:<|within)\s+{_TIME}|^\*\*Within\s+{_TIME}|\bafter\s+{_TIME}(?=:)")
# "for 5 minutes" of a threshold; what stands before it is the limit itself.
_LASTING = re.compile(rf"\bfor\s+{_TIME}\s*$")


def _line(line: str, scale: float) -> str:
    pattern = _LASTING if line.lstrip().startswith("**Threshold:**") else _ALLOWED
    return pattern.sub(lambda found: re.sub(_TIME, lambda time: _spoken(time, scale), found[0]), line)


def _spoken(time: re.Match[str], scale: float) -> str:
    return f"{float(time[1]) * _WORDS[time[2]] / scale:g} seconds"
