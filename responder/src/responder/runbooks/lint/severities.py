"""Severities in words and as labels: the same, not the same, or of schemes that cannot be compared."""

from __future__ import annotations

import re

from responder.core.defect import Comparison

# Schemes in which no two words mean the same.
_SCHEMES = (
    ("critical", "warning", "info", "none"),
    ("page", "ticket"),
    ("high", "medium", "low"),
    ("major", "minor"),
    ("error", "warning", "info"),
)
_ALIASES = {
    "crit": "critical", "warn": "warning", "informational": "info", "information": "info", "moderate": "medium",
    "err": "error", "paging": "page", "pager": "page",
}  # fmt: skip
# How far down each may stand, from 0 for what wakes people at once. Where two do not overlap, they differ.
_RANKS: dict[str, frozenset[int]] = {
    "critical": frozenset({0}), "fatal": frozenset({0}), "emergency": frozenset({0}), "disaster": frozenset({0}),
    "page": frozenset({0, 1}), "ticket": frozenset({1, 2, 3}),
    "high": frozenset({0, 1}), "medium": frozenset({1, 2}), "low": frozenset({2, 3}),
    "major": frozenset({0, 1}), "minor": frozenset({2, 3}), "error": frozenset({0, 1}),
    "warning": frozenset({1}), "info": frozenset({2, 3}), "notice": frozenset({2, 3}), "none": frozenset({3}),
}  # fmt: skip
# What each team calls its highest.
_HIGHEST = frozenset({"critical", "page", "p0", "sev0", "sev1", "s1"})
_NUMBERED = re.compile(r"^(p|prio|priority|sev|severity|s)(\d)$")
_WORD = re.compile(r"[A-Za-z]+[-_ ]?\d\b|[A-Za-z]+")


def same_severity(written: str, label: str) -> Comparison:
    """`written` may name several, as in `Critical (P0)`: it agrees if one of them is the label's."""
    wanted = _plain(label)
    spoken = {word for found in _WORD.findall(written) if _is_severity(word := _plain(found))}
    if not _is_severity(wanted) or not spoken:
        return Comparison.NOT_COMPARABLE
    answers = {_same(word, wanted) for word in spoken}
    if True in answers:
        return Comparison.AGREE
    return Comparison.DISAGREE if False in answers else Comparison.NOT_COMPARABLE


def _plain(word: str) -> str:
    bare = re.sub(r"[-_ ]", "", word.lower())
    return _ALIASES.get(bare, bare)


def _is_severity(word: str) -> bool:
    return word in _RANKS or _NUMBERED.match(word) is not None


def _same(one: str, other: str) -> bool | None:
    if one == other:
        return True
    first, second = _NUMBERED.match(one), _NUMBERED.match(other)
    if first and second and first[1][0] == second[1][0] and len(first[1]) == len(second[1]):
        return False
    if any(one in scheme and other in scheme for scheme in _SCHEMES):
        return False
    if one in _HIGHEST and other in _HIGHEST:
        return True
    return None if _ranks(one) & _ranks(other) else False


def _ranks(word: str) -> frozenset[int]:
    numbered = _NUMBERED.match(word)
    if numbered is None:
        return _RANKS[word]
    number = int(numbered[2])
    # Some begin to count at 0 and some at 1.
    return frozenset({max(number - 1, 0), number})
