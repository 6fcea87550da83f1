"""Who fails most: a sketch of bounded size that never underestimates (Metwally and others, "space-saving", 2005).

It keeps `capacity` names. A name that is not among them takes the place of the least, and inherits its count as its own
possible error: so whoever really fails often is always among them, and `surely` is what it did at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

# Half of the past is forgotten this often: who stopped an hour ago is no heavy hitter now.
HALVED_EVERY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offender:
    """A name, what it did at most, how much of that may have been others, and when it was last seen (monotonic)."""

    name: str
    count: int
    error: int
    last_seen: float

    @property
    def surely(self) -> int:
        return self.count - self.error


class Offenders:
    """The sketch. `labels` of the names at most, with `threshold` failures for certain, are worth a name of their own."""

    def __init__(self, *, capacity: int = 256, labels: int = 20, threshold: int = 20) -> None:
        self._capacity = capacity
        self._labels = labels
        self._threshold = threshold
        self._kept: dict[str, Offender] = {}
        self._halved_at: float | None = None

    def note(self, name: str, now: float) -> None:
        """One more failure."""
        self._halve(now)
        held = self._kept.get(name)
        if held is None and len(self._kept) >= self._capacity:
            least = min(self._kept.values(), key=lambda each: each.count)
            del self._kept[least.name]
            held = Offender(name=name, count=least.count, error=least.count, last_seen=now)
        count, error = (held.count, held.error) if held else (0, 0)
        self._kept[name] = Offender(name=name, count=count + 1, error=error, last_seen=now)

    def top(self, most: int) -> Sequence[Offender]:
        """The first of them, by what they did for certain."""
        ordered = sorted(self._kept.values(), key=lambda each: (each.surely, each.count), reverse=True)
        return ordered[:most]

    def heavy(self) -> frozenset[str]:
        """The names that are worth a series of their own."""
        return frozenset(each.name for each in self.top(self._labels) if each.surely >= self._threshold)

    def _halve(self, now: float) -> None:
        if self._halved_at is None:
            self._halved_at = now
        while now - self._halved_at >= HALVED_EVERY.total_seconds():
            self._halved_at += HALVED_EVERY.total_seconds()
            self._kept = {
                name: Offender(
                    name=name, count=each.count // 2, error=each.error // 2, last_seen=each.last_seen
                )
                for name, each in self._kept.items()
                if each.count > 1
            }
            if not self._kept:
                self._halved_at = now
