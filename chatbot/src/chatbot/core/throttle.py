"""A bound on how often something may be done, that counts what it held back."""

from __future__ import annotations


class Throttle:
    """At most `per_second` on average and `burst` at once. Pure: `now` is in seconds of a monotonic clock."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = float(burst)
        self._at = 0.0
        self._held_back = 0

    def admit(self, now: float) -> int | None:
        """How many were held back since the last one that passed; None when this one must be held back too."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            self._held_back += 1
            return None
        self._left -= 1
        held_back, self._held_back = self._held_back, 0
        return held_back
