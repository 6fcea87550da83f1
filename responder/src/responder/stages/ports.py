"""What a stage is handed: the outside, as Protocols. The real ones are in `integrations`; tests fake them at the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from responder.core.clock import Clock
from responder.core.incident import Incident
from responder.core.page import Page
from responder.core.policies import Policies
from responder.core.source import Answer, Sample, Table
from responder.runbooks.library import Library
from responder.store.db import Database


class Metrics(Protocol):
    async def query(self, promql: str, *, timeout: timedelta) -> list[Sample]:
        """The instant value of an expression. Raises SourceError."""
        ...

    async def running_since(self, *, timeout: timedelta) -> datetime:
        """When it was started. Raises SourceError."""
        ...


class Http(Protocol):
    async def read(self, url: str, *, headers: Mapping[str, str], timeout: timedelta) -> Answer:
        """GET. Raises SourceError, SourceRefused for an origin that is not allowed."""
        ...

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: str | None, timeout: timedelta
    ) -> Answer:
        """A request that may change things. Raises as `read`."""
        ...


class Target(Protocol):
    async def query(self, sql: str, values: Mapping[str, str], *, timeout: timedelta) -> Table:
        """The first rows of a SELECT, read only. Raises SourceError."""
        ...

    async def change(self, sql: str, values: Mapping[str, str], *, timeout: timedelta) -> Table:
        """One statement of an approved remedy. Raises SourceError."""
        ...


class Logs(Protocol):
    async def tail(self, path: str, *, pattern: str | None, lines: int) -> list[str]:
        """The last `lines` lines of a log that hold `pattern`. Raises SourceError."""
        ...


class Pager(Protocol):
    async def send(self, page: Page) -> None:
        """Delivers, or raises SourceError: `permanent` says whether another try can help. Returns only on a confirmed 2xx."""
        ...


class Links(Protocol):
    def acknowledge(self, incident: str, person: str) -> str:
        """The address at which `person` acknowledges the incident."""
        ...

    def incident(self, incident: str) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Everything beyond the process, and what the stages need to speak of it."""

    database: Database
    clock: Clock
    policies: Policies
    library: Library
    metrics: Metrics
    http: Http
    logs: Logs
    target: Target
    pagers: Mapping[str, Pager]
    links: Links
    status_dir: Path
    postmortem_dir: Path

    def for_incident(self, incident: Incident) -> Outside:
        """With the labels of the incident's alert as values of the runbook's placeholders."""
        return replace(self, policies=self.policies.for_alert(incident.alert_labels))

    def with_answers(self, answers: Mapping[str, str]) -> Outside:
        """With what a person answered to the asks of a remedy."""
        return replace(self, policies=self.policies.with_answers(answers))
