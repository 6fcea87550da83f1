"""A remediation: an action that may change things, run once, behind a preview and a person's approval."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from responder.core.incident import IncidentId
from responder.core.machine import Table

RemediationId = NewType("RemediationId", int)


class State(StrEnum):
    OFFERED = "offered"
    PREVIEWING = "previewing"
    PREVIEWED = "previewed"
    APPROVED = "approved"
    RUNNING = "running"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"
    WITHDRAWN = "withdrawn"


class Event(StrEnum):
    ASK_PREVIEW = "preview"
    PREVIEWED = "previewed"
    APPROVE = "approve"
    EXPIRE = "expire"
    START = "start"
    RAN = "ran"
    VERIFIED = "verified"
    FAIL = "fail"
    UNDO = "undo"
    UNDONE = "undone"
    WITHDRAW = "withdraw"


# Approval is only possible on a preview that a person has seen, and only `start` leads to a change of the outside world.
TRANSITIONS: Table[State, Event] = {
    State.OFFERED: {Event.ASK_PREVIEW: State.PREVIEWING, Event.WITHDRAW: State.WITHDRAWN},
    State.PREVIEWING: {
        Event.PREVIEWED: State.PREVIEWED,
        Event.FAIL: State.OFFERED,
        Event.WITHDRAW: State.WITHDRAWN,
    },
    State.PREVIEWED: {
        Event.ASK_PREVIEW: State.PREVIEWING,
        Event.APPROVE: State.APPROVED,
        Event.EXPIRE: State.OFFERED,
        Event.WITHDRAW: State.WITHDRAWN,
    },
    State.APPROVED: {
        Event.START: State.RUNNING,
        Event.EXPIRE: State.OFFERED,
        Event.WITHDRAW: State.WITHDRAWN,
    },
    State.RUNNING: {Event.RAN: State.VERIFYING, Event.FAIL: State.FAILED},
    State.VERIFYING: {Event.VERIFIED: State.VERIFIED, Event.FAIL: State.FAILED},
    State.VERIFIED: {Event.UNDO: State.UNDOING},
    State.FAILED: {Event.ASK_PREVIEW: State.PREVIEWING, Event.UNDO: State.UNDOING},
    State.UNDOING: {Event.UNDONE: State.UNDONE, Event.FAIL: State.FAILED},
    State.UNDONE: {Event.ASK_PREVIEW: State.PREVIEWING},
    State.WITHDRAWN: {},
}


class Phase(StrEnum):
    """The part that a request of the runbook's `http` block plays, by its `### name`."""

    PREVIEW = "preview"
    RUN = "run"
    VERIFY = "verify"
    UNDO = "undo"


# The method of a request that is a statement for the database: its body is the SQL.
SQL = "SQL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an answer must hold: `field` is a path such as `flag.enabled`, `value` its JSON value."""

    field: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request of the runbook, or one statement of SQL.

    Placeholders stay as written: values are put in at the last moment.
    """

    phase: Phase
    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None
    expects: tuple[Expectation, ...]

    @property
    def media_type(self) -> str:
        """What the body is, as its header says; empty where none does."""
        return next((value for name, value in self.headers.items() if name.lower() == "content-type"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remediation:
    """`words` are what the runbook says of it; `inputs` the person's answers to what the remedy asks, by name.

    `digest` binds an approval to the text, the bound values, the answers and the preview that the person saw.
    """

    id: RemediationId
    incident_id: IncidentId
    position: int
    key: str
    label: str
    words: str
    text: str
    line: int
    state: State
    runnable: bool
    reason: str
    requests: tuple[Request, ...]
    inputs: Mapping[str, str]
    preview: Mapping[str, Any] | None
    digest: str | None
    approved_by: str | None
    expires_at: datetime | None
    result: Mapping[str, Any] | None

    @property
    def further_words(self) -> str:
        """What the runbook says of it beyond its label. A label that is cut says too little: then all of it."""
        return self.words.removeprefix(self.label).lstrip(". \n")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRemediation:
    """An action of the runbook's remediation as it will be offered; without requests it is for a person to do."""

    key: str
    label: str
    words: str
    text: str
    line: int
    runnable: bool
    reason: str
    requests: tuple[Request, ...]


def requests_to_json(requests: Sequence[Request]) -> list[dict[str, Any]]:
    return [
        {
            "phase": request.phase,
            "method": request.method,
            "url": request.url,
            "headers": dict(request.headers),
            "body": request.body,
            "expects": [{"field": e.field, "value": e.value} for e in request.expects],
        }
        for request in requests
    ]


def requests_from_json(body: Sequence[Mapping[str, Any]]) -> tuple[Request, ...]:
    """What `requests_to_json` wrote."""
    return tuple(
        Request(
            phase=Phase(request["phase"]),
            method=request["method"],
            url=request["url"],
            headers=request["headers"],
            body=request["body"],
            expects=tuple(Expectation(field=e["field"], value=e["value"]) for e in request["expects"]),
        )
        for request in body
    )


def by_phase(requests: Sequence[Request], phase: Phase) -> tuple[Request, ...]:
    return tuple(request for request in requests if request.phase is phase)


def texts_of(requests: Sequence[Request]) -> list[str]:
    """Every text in which a value can be put."""
    return [text for r in requests for text in (r.url, *r.headers.values(), r.body or "")]


def approval_digest(*, text: str, runs: Sequence[str], inputs: Mapping[str, str], now: Any) -> str:
    """SHA-256, hex, of what is approved: the action's text, the requests it becomes, the person's answers, what is there now."""
    body = json.dumps(
        [text, list(runs), dict(inputs), now], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(body.encode()).hexdigest()


def unmet(expects: Sequence[Expectation], body: Any) -> tuple[str, ...]:
    """A sentence for each expectation that the JSON `body` does not meet."""
    return tuple(
        f"{expect.field} is {json.dumps(found)}, expected {json.dumps(expect.value)}"
        for expect in expects
        if (found := _at(body, expect.field)) != expect.value or type(found) is not type(expect.value)
    )


def fields_at(expects: Sequence[Expectation], body: Any) -> tuple[str, ...]:
    """What `body` holds now where the expectations will look: `enabled = true`. Empty where it holds none of them."""
    return tuple(
        f"{expect.field} = {json.dumps(found)}"
        for expect in expects
        if (found := _at(body, expect.field)) is not None
    )


def _at(body: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(body, Mapping) or part not in body:
            return None
        body = body[part]  # pyright: ignore[reportUnknownVariableType]
    return body  # pyright: ignore[reportUnknownVariableType]
