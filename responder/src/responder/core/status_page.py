"""The status page: what the people who use the service are told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from responder.core.incident import Incident, IncidentId

_SLOT = re.compile(r"\[[^\]]+\]")


class UpdateState(StrEnum):
    """The words of the page, in the order in which an incident passes them."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part that users know by name. `description` says in their words what is wrong when one of `alerts` fires."""

    name: str
    alerts: frozenset[str]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPage:
    name: str
    components: tuple[Component, ...]
    templates: Mapping[UpdateState, str]
    auto_publish: bool

    def component_for(self, alertname: str) -> Component | None:
        return next((component for component in self.components if alertname in component.alerts), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUpdate:
    incident_id: IncidentId
    state: UpdateState
    component: str
    body: str
    created_at: datetime


DEFAULT_TEMPLATES: Mapping[UpdateState, str] = {
    UpdateState.INVESTIGATING: "We are investigating reports of [issue description].",
    UpdateState.IDENTIFIED: "We have identified the issue and are working on a fix.",
    UpdateState.MONITORING: "A fix has been applied and we are watching the results.",
    UpdateState.RESOLVED: "The issue has been resolved. All services are operational.",
}

# The runbook's own words for the states.
_RUNBOOK_WORDS = {
    "investigating": UpdateState.INVESTIGATING,
    "identified": UpdateState.IDENTIFIED,
    "update": UpdateState.IDENTIFIED,
    "monitoring": UpdateState.MONITORING,
    "resolved": UpdateState.RESOLVED,
}


def templates_from(runbook_templates: Mapping[str, str]) -> dict[UpdateState, str]:
    """The runbook's templates by state; what it does not give falls back to plain words."""
    own = {
        _RUNBOOK_WORDS[word.lower()]: text
        for word, text in runbook_templates.items()
        if word.lower() in _RUNBOOK_WORDS
    }
    return {**DEFAULT_TEMPLATES, **own}


def wording(template: str, *, component: Component) -> str:
    """The template with its slot filled from the policy: never from an alert's own text, which is not for the public."""
    return _SLOT.sub(lambda _: component.description, template)


def belongs_on_page(incident: Incident) -> bool:
    """Only P0 goes on the page, as the runbook says, and nothing of a restricted kind."""
    return incident.severity == "P0" and not incident.restricted
