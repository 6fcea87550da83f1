"""What a tenant may use: a budget that is new every day (UTC), and amounts that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from chatbot.core.tenancy import TenantId
from chatbot.errors import QuotaReached


class Quota(StrEnum):
    TOKENS_PER_DAY = "tokens_per_day"
    REQUESTS_PER_DAY = "requests_per_day"
    DOCUMENTS = "documents"
    BYTES = "bytes"
    MEMBERS = "members"


# For a tenant of whom nothing else was said.
DEFAULTS: dict[Quota, int] = {
    Quota.TOKENS_PER_DAY: 5_000_000,
    Quota.REQUESTS_PER_DAY: 200_000,
    Quota.DOCUMENTS: 2_000,
    Quota.BYTES: 1_000_000_000,
    Quota.MEMBERS: 50,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A tenant's quotas: what was set, else the default."""

    values: Mapping[Quota, int] = field(default_factory=dict[Quota, int])

    def of(self, quota: Quota) -> int:
        """The limit in force."""
        return self.values.get(quota, DEFAULTS[quota])

    def all(self) -> dict[Quota, int]:
        """Every limit in force."""
        return {quota: self.of(quota) for quota in Quota}

    def check(self, quota: Quota, *, used: int, adding: int) -> None:
        """Raises QuotaReached unless `adding` more still fit."""
        if used + adding > self.of(quota):
            raise QuotaReached(
                f"The tenant has {used} {quota}, {adding} more would pass its quota of {self.of(quota)}.",
                remedy=f"Delete some first, or let an operator raise it: chatbot tenant budget NAME {_option(quota)} N.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used on one day."""

    day: date
    requests: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Tokens that were set aside before a model was asked, to be settled by `charge`."""

    tenant_id: TenantId
    day: date
    tokens: int


def day_of(wall: float) -> date:
    """The day in UTC of a time in seconds since the epoch."""
    return datetime.fromtimestamp(wall, UTC).date()


def seconds_of_day_left(wall: float) -> int:
    """Whole seconds until the next day begins in UTC, at least 1."""
    now = datetime.fromtimestamp(wall, UTC)
    tomorrow = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    return int((tomorrow - now).total_seconds()) + 1


def _option(quota: Quota) -> str:
    return f"--{quota.replace('_', '-')}"
