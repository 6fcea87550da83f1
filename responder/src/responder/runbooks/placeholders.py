"""Placeholders in all the forms that runbooks use. An unbound one makes a step not runnable."""

from __future__ import annotations

import re

from responder.core.runbook import Placeholder

_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\{\{\s*\$?\.?([A-Za-z_][\w.-]*)\s*\}\}"), r"\1"),
    (re.compile(r"(?<!\{)\$\{([A-Za-z_]\w*)\}"), r"\1"),
    (re.compile(r"(?<![\w$\\])\$([A-Za-z_]\w*)"), r"\1"),
    (re.compile(r"<([A-Za-z][\w .:-]{0,40}[\w])>"), r"\1"),
    (re.compile(r"\b((?:YOUR|MY)[-_][A-Z0-9_-]+)\b"), r"\1"),
    (re.compile(r"\b(your-[a-z0-9.-]+|[a-z0-9.-]*\bexample\.(?:com|org|net))\b"), r"\1"),
    (re.compile(r"\b(attacker-ip|alert-name|pod-name|tenant-id)\b"), r"\1"),
)
# Characters that only show where a language has its own use of < or $.
_NOT_IN = {"promql": ("$", "<"), "sql": ("<",), "logql": ("<",)}


def find(text: str, *, language: str) -> tuple[Placeholder, ...]:
    """The placeholders of a text, each name once, in order of appearance."""
    skipped = _NOT_IN.get(language, ())
    found: dict[str, Placeholder] = {}
    for pattern, name in _FORMS:
        for match in pattern.finditer(text):
            if match[0].startswith(skipped) and skipped:
                continue
            found.setdefault(match.expand(name), Placeholder(name=match.expand(name), raw=match[0]))
    return tuple(sorted(found.values(), key=lambda p: text.find(p.raw)))
