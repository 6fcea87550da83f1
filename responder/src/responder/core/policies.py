"""What the team has decided, as one value: who is called, what may run, what the public is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from responder.core.binding import Bindings
from responder.core.effect import Role
from responder.core.escalation import EscalationPolicy
from responder.core.incident import Severity
from responder.core.schedule import OnCall
from responder.core.security_event import EventPolicy
from responder.core.status_page import StatusPage
from responder.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationPolicy:
    """`methods` may be used by a remediation; an approval is good for `approval_lasts`.

    `settle` is how long the rules must be quiet before an incident may be resolved.
    """

    methods: frozenset[str]
    approval_lasts: timedelta
    settle: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPolicy:
    """Relative URLs of the runbook belong to `base_url`. Only origins in `allow` are ever called."""

    base_url: str | None
    allow: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """`logs` maps the path that a runbook names to the file that may be read for it; `headings` are a team's own words.

    Incidents of `latched_alerts` end only when a person says so.
    """

    on_call: OnCall
    escalation: tuple[EscalationPolicy, ...]
    bindings: Bindings
    http: HttpPolicy
    logs: Mapping[str, str]
    status_page: StatusPage
    remediation: RemediationPolicy
    restricted_alerts: frozenset[str]
    latched_alerts: frozenset[str]
    security_events: Mapping[str, EventPolicy]
    headings: Mapping[Role, tuple[str, ...]]

    def for_alert(self, labels: Mapping[str, str]) -> Policies:
        """With the labels of an incident's alert as values of placeholders."""
        return replace(self, bindings=self.bindings.for_alert(labels))

    def with_answers(self, answers: Mapping[str, str]) -> Policies:
        """With what a person answered to the asks of a remedy."""
        return replace(self, bindings=self.bindings.with_answers(answers))

    def escalation_for(self, severity: Severity, *, restricted: bool) -> EscalationPolicy:
        """The first policy that covers `severity`, of those for restricted incidents first where it is one.

        Raises NotFound; loading refuses policies that leave one out.
        """
        for only_restricted in (True, False) if restricted else (False,):
            for policy in self.escalation:
                if severity in policy.severities and policy.restricted is only_restricted:
                    return policy
        raise NotFound(f"No escalation policy covers {severity}; add it to policies/escalation.toml.")
