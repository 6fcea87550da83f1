"""A document, its revisions, and the states that a revision goes through.

    queued ──take──▶ parsing ──parsed──▶ embedding ──embedded──▶ ready
       ▲                │                    │
       └───── retry ────┴────────────────────┘        fail: queued, parsing, embedding ──▶ failed

The newest revision that is ready answers; a later one that fails leaves it where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chatbot.core.tenancy import TenantId
from chatbot.errors import IllegalTransition

LARGEST_DOCUMENT = 20 * 1024 * 1024
LONGEST_TITLE = 200
# One document has to fit into a worker's memory while it is embedded: about 1,500 pages.
MOST_PASSAGES = 5_000
MOST_ATTEMPTS = 5
LONGEST_WAIT = timedelta(minutes=5)
# Longer than the longest step between two looks at it: a parser may take 60 s.
LEASE = timedelta(seconds=90)


class Status(StrEnum):
    QUEUED = "queued"
    PARSING = "parsing"
    EMBEDDING = "embedding"
    READY = "ready"
    FAILED = "failed"


class Event(StrEnum):
    TAKE = "take"  # a worker begins
    PARSED = "parsed"  # its passages are cut
    EMBEDDED = "embedded"  # its passages answer, in place of those before
    RETRY = "retry"  # something else was at fault, or the worker died: later again
    FAIL = "fail"  # the document is at fault, or it was tried too often


TRANSITIONS: dict[Status, dict[Event, Status]] = {
    Status.QUEUED: {Event.TAKE: Status.PARSING, Event.FAIL: Status.FAILED},
    Status.PARSING: {
        Event.PARSED: Status.EMBEDDING,
        Event.RETRY: Status.QUEUED,
        Event.FAIL: Status.FAILED,
    },
    Status.EMBEDDING: {
        Event.EMBEDDED: Status.READY,
        Event.RETRY: Status.QUEUED,
        Event.FAIL: Status.FAILED,
    },
    Status.READY: {},
    Status.FAILED: {},
}


class Source(StrEnum):
    UPLOAD = "upload"
    URL = "url"


class MediaType(StrEnum):
    """What can be read."""

    PDF = "application/pdf"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    TEXT = "text/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document with what is known of its newest revision. `live_revision` answers; None: nothing does yet."""

    document_id: UUID
    title: str
    source: Source
    url: str | None
    live_revision: int | None
    passages: int
    revision: int
    status: Status
    reason: str | None
    media_type: str | None
    bytes: int | None
    attempt: int
    created_at: datetime
    revised_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRef:
    """Names a revision: all that the queue is told."""

    tenant_id: TenantId
    document_id: UUID
    revision: int
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A revision that a worker holds. `ref.attempt` is its claim: a later one makes it void. `tries` counts those of its own,
    without the attempts that an outage ended.
    """

    ref: RevisionRef
    title: str
    source: Source
    url: str | None
    media_type: str | None
    actor: str
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came from a URL."""

    parts: list[bytes]
    media_type: str | None


def after(status: Status, event: Event) -> Status:
    """The state after `event`. Raises IllegalTransition."""
    row = TRANSITIONS[status]
    if event not in row:
        raise IllegalTransition(f"A revision that is {status} does not take '{event}'.")
    return row[event]


def before(event: Event) -> list[Status]:
    """The states that allow the event: what a statement compares the row with."""
    return [status for status, row in TRANSITIONS.items() if event in row]


def backoff(attempt: int) -> timedelta:
    """How long to wait after the attempt, counted from 1: 2 s, 8 s, 32 s, 2 min, then 5 min each."""
    return min(LONGEST_WAIT, timedelta(seconds=2 * 4 ** (min(attempt, 9) - 1)))


def clean_title(title: str) -> str:
    """The title without control characters and outer blanks, at most LONGEST_TITLE long. May come out empty."""
    shown = "".join(letter if letter.isprintable() else " " for letter in title)
    return " ".join(shown.split())[:LONGEST_TITLE].strip()
