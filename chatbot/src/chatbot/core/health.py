"""What a health check says, and what many of them say together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # works, with less: answered with 200
    DOWN = "down"  # does not work: answered with 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One component's condition, why, and how long the check took in milliseconds."""

    component: str
    condition: Condition
    reason: str
    latency_ms: float


# Without these the product cannot answer at all. Without the others it answers with less.
VITAL = frozenset({"database"})


def together(checks: Iterable[Health]) -> Condition:
    """Down when something vital is down; degraded when anything is not ok."""
    worst = Condition.OK
    for check in checks:
        if check.condition is Condition.DOWN and check.component in VITAL:
            return Condition.DOWN
        if check.condition is not Condition.OK:
            worst = Condition.DEGRADED
    return worst
