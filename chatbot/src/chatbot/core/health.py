"""What a health check says of one dependency."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """Degraded: the product works, with less. Down: it does not."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    condition: Condition
    reason: str
    latency_ms: float


def worst(reports: list[Report]) -> Condition:
    order = list(Condition)
    return max((report.condition for report in reports), key=order.index, default=Condition.OK)
