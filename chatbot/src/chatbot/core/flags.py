"""Feature flags: the known ones, their defaults, and a change with the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatbot.errors import NotFound

RERANK = "rerank"
MAINTENANCE = "maintenance"
GROQ = "groq"

# name: (default, what it does)
KNOWN: dict[str, tuple[bool, str]] = {
    RERANK: (False, "Order the passages by the reranker before the model reads them. Has no fallback."),
    GROQ: (True, "Ask Groq first. Off, questions go to the next provider at once."),
    MAINTENANCE: (False, "Answer every product request with 503 and Retry-After."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag as it stands. Never set: the default, with nobody and no time."""

    name: str
    enabled: bool
    updated_at: datetime | None
    updated_by: str | None
    message: str | None = None  # what people are told while it is on, where they are told something


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagChange:
    """A flag after a change, and what it was before."""

    flag: Flag
    previous: Flag

    def undo(self) -> dict[str, Any]:
        """The request that takes the change back."""
        body: dict[str, Any] = {"enabled": self.previous.enabled}
        if self.flag.name == MAINTENANCE:
            return {
                "method": "PUT",
                "path": "/api/admin/maintenance",
                "body": {**body, "message": self.previous.message},
            }
        return {"method": "PUT", "path": f"/api/admin/flags/{self.flag.name}", "body": body}


def check_flag_name(name: str) -> str:
    """The name itself. Raises NotFound, naming those that there are."""
    if name not in KNOWN:
        raise NotFound(
            f"There is no flag '{name[:80]}'.", remedy=f"The flags are: {', '.join(sorted(KNOWN))}."
        )
    return name


def with_defaults(stored: Mapping[str, Flag]) -> dict[str, Flag]:
    """Every known flag: as stored, else its default. Stored flags that are no longer known are left out."""
    return {
        name: stored.get(name) or Flag(name=name, enabled=default, updated_at=None, updated_by=None)
        for name, (default, _) in KNOWN.items()
    }


def later(held: Flag, read: Flag) -> Flag:
    """The one of two readings of a flag that was changed later; at a tie, the first."""
    if held.updated_at is None or (read.updated_at is not None and read.updated_at > held.updated_at):
        return read
    return held
