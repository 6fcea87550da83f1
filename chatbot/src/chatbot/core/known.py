"""Callers that were proved a moment ago, so that not every request asks the database who is asking.

Never longer than LASTS: a suspended tenant, a revoked key and an ended session are refused within a second, by every process.
"""

from __future__ import annotations

from chatbot.core.caller import Caller

LASTS = 1.0  # seconds
MOST = 10_000


class KnownCallers:
    """By a digest of the credential. Pure: `now` is in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._until: dict[bytes, tuple[float, Caller]] = {}

    def get(self, digest: bytes, *, now: float) -> Caller | None:
        """The caller, if it was proved less than LASTS ago."""
        found = self._until.get(digest)
        if found is None:
            return None
        if now >= found[0]:
            del self._until[digest]
            return None
        return found[1]

    def put(self, digest: bytes, caller: Caller, *, since: float, at_most: float = LASTS) -> None:
        """Keeps the caller. `since` is when the database was asked, not when it answered."""
        if len(self._until) >= MOST:
            # In the order of arrival, so the first is the one that has been kept for longest.
            del self._until[next(iter(self._until))]
        self._until[digest] = (since + min(at_most, LASTS), caller)
