"""A circuit breaker: sliding failure rate, a fixed number of probes, and a third outcome, `ignored`.

    closed ──trip──▶ open ──cool──▶ half_open ──recover──▶ closed
                      ▲                 │ trip
                      └─────────────────┘          reset: any ──▶ closed

Pure: `now` is passed in, in seconds of a monotonic clock. One breaker belongs to one event loop; it is not
shared between processes, so that a restart resets it, as the runbook says.

A caller asks `admit`, holds the permit during the call, and gives the outcome to `record` exactly once. A call
that its own caller gave up (a closed browser tab), or that the provider rightly refused (a malformed request),
is `IGNORED`: it says nothing of the provider's health, so it neither opens nor closes anything.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from chatbot.errors import IllegalTransition


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(StrEnum):
    TRIP = "trip"  # too many failures
    COOL = "cool"  # open for long enough
    RECOVER = "recover"  # every probe succeeded
    RESET = "reset"  # a person closed it
    FORCE = "force"  # a person opened it


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.CLOSED: {Event.TRIP: State.OPEN, Event.FORCE: State.OPEN, Event.RESET: State.CLOSED},
    State.OPEN: {Event.COOL: State.HALF_OPEN, Event.FORCE: State.OPEN, Event.RESET: State.CLOSED},
    State.HALF_OPEN: {
        Event.TRIP: State.OPEN,
        Event.RECOVER: State.CLOSED,
        Event.FORCE: State.OPEN,
        Event.RESET: State.CLOSED,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to open: at least `failure_rate` of at least `min_volume` calls within `window`."""

    failure_rate: float = 0.5
    min_volume: int = 5
    window: timedelta = timedelta(seconds=30)
    open_for: timedelta = timedelta(seconds=10)
    probes: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to make one call. Stamped with the era it was given in: a late outcome of an older era counts nothing."""

    era: int


class Breaker:
    """The state of one protected thing."""

    def __init__(self, name: str, limits: Limits | None = None) -> None:
        self.name = name
        self.limits = limits or Limits()
        self.state = State.CLOSED
        self._era = 0
        self._opened_at = 0.0
        self._calls: deque[tuple[float, bool]] = deque()  # (when, failed)
        self._probes_out = 0
        self._probes_passed = 0

    def admit(self, now: float) -> Permit | None:
        """A permit, or None when the call must not be made."""
        if self.state is State.OPEN and self.retry_after(now) <= 0:
            self._move(Event.COOL, now)
        if self.state is State.OPEN:
            return None
        if self.state is State.HALF_OPEN:
            if self._probes_out + self._probes_passed >= self.limits.probes:
                return None
            self._probes_out += 1
        return Permit(era=self._era)

    def record(self, permit: Permit, outcome: Outcome, now: float) -> None:
        """What became of the call. An outcome of an older era is dropped."""
        if permit.era != self._era:
            return
        if self.state is State.HALF_OPEN:
            self._record_probe(outcome, now)
        elif outcome is not Outcome.IGNORED:
            self._calls.append((now, outcome is Outcome.FAILURE))
            if self._too_many_failures(now):
                self._move(Event.TRIP, now)

    def retry_after(self, now: float) -> float:
        """Seconds until a probe may pass; 0 unless open."""
        if self.state is not State.OPEN:
            return 0.0
        return max(0.0, self._opened_at + self.limits.open_for.total_seconds() - now)

    def counts(self, now: float) -> tuple[int, int]:
        """Calls and failures within the window."""
        self._forget(now)
        return len(self._calls), sum(failed for _, failed in self._calls)

    def reset(self, now: float) -> None:
        """Closes it by hand."""
        self._move(Event.RESET, now)

    def force_open(self, now: float) -> None:
        """Opens it by hand, for `open_for`."""
        self._move(Event.FORCE, now)

    def _record_probe(self, outcome: Outcome, now: float) -> None:
        self._probes_out -= 1
        if outcome is Outcome.FAILURE:
            self._move(Event.TRIP, now)
        elif outcome is Outcome.SUCCESS:
            self._probes_passed += 1
            if self._probes_passed >= self.limits.probes:
                self._move(Event.RECOVER, now)

    def _too_many_failures(self, now: float) -> bool:
        calls, failures = self.counts(now)
        return calls >= self.limits.min_volume and failures >= calls * self.limits.failure_rate

    def _forget(self, now: float) -> None:
        horizon = now - self.limits.window.total_seconds()
        while self._calls and self._calls[0][0] <= horizon:
            self._calls.popleft()

    def _move(self, event: Event, now: float) -> None:
        after = TRANSITIONS[self.state].get(event)
        if after is None:
            raise IllegalTransition(f"Breaker {self.name} is {self.state}: '{event}' is not possible.")
        self.state = after
        self._era += 1
        self._calls.clear()
        self._probes_out = 0
        self._probes_passed = 0
        if after is State.OPEN:
            self._opened_at = now
