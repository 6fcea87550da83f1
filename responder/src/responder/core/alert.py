"""An alert: what Prometheus says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

AlertId = NewType("AlertId", int)


class AlertStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert of a delivery. The same alert is delivered many times: `fingerprint` and `starts_at` tell it apart."""

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None
    generator_url: str

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def title(self) -> str:
        """The name, and which tier of it where the rule says so: tiers of one alert come and go on their own."""
        tier = self.labels.get("tier")
        return f"{self.name} ({tier})" if tier else self.name

    @property
    def service(self) -> str:
        return self.labels.get("service") or self.labels.get("job") or "unknown service"

    @property
    def runbook_url(self) -> str | None:
        return self.annotations.get("runbook_url") or self.annotations.get("runbook")

    @property
    def summary(self) -> str:
        return self.annotations.get("summary") or self.annotations.get("description") or self.name
