"""A defect: what is wrong with a runbook or a rule, where, and what both sides say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """An error misleads the person on call, or keeps an alert from firing; a warning is likely to."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """`rule` is the lint's id, such as `command/unbounded`; `runbook_says` and `rule_says` are quotes where there are any."""

    rule: str
    weight: Weight
    file: str
    line: int
    message: str
    runbook_says: str | None = None
    rule_says: str | None = None


class Comparison(StrEnum):
    """The three answers to whether words and rule say the same."""

    AGREE = "agree"
    DISAGREE = "disagree"
    NOT_COMPARABLE = "not comparable"
