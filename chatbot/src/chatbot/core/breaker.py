"""A circuit breaker: sliding failure rate, slow calls, a fixed number of probes, and a third outcome, `ignored`.

    closed ──trip──▶ open ──cool──▶ half_open ──recover──▶ closed
                      ▲                 │ trip
                      └─────────────────┘          reset: any ──▶ closed
    any ──force──▶ forced_open ──release──▶ half_open

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
    FORCED_OPEN = "forced_open"  # by a person, until released


class Event(StrEnum):
    TRIP = "trip"  # too many failures
    COOL = "cool"  # open for long enough
    RECOVER = "recover"  # every probe succeeded
    RESET = "reset"  # a person closed it
    FORCE = "force"  # a person opened it
    RELEASE = "release"  # a person lets it find out by itself


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.CLOSED: {Event.TRIP: State.OPEN, Event.FORCE: State.FORCED_OPEN, Event.RESET: State.CLOSED},
    State.OPEN: {Event.COOL: State.HALF_OPEN, Event.FORCE: State.FORCED_OPEN, Event.RESET: State.CLOSED},
    State.HALF_OPEN: {
        Event.TRIP: State.OPEN,
        Event.RECOVER: State.CLOSED,
        Event.FORCE: State.FORCED_OPEN,
        Event.RESET: State.CLOSED,
    },
    State.FORCED_OPEN: {
        Event.RELEASE: State.HALF_OPEN,
        Event.FORCE: State.FORCED_OPEN,
        Event.RESET: State.CLOSED,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to open. Any of: the share of failures, or of slow calls, in a window with enough calls; failures in a row.

    The last is for a busy provider that dies at once: its many good calls would hold the share down for half a window.
    """

    failure_rate: float = 0.5
    slow_rate: float = 0.8
    slow_after: timedelta = timedelta(seconds=5)
    min_volume: int = 5
    in_a_row: int = 8
    window: timedelta = timedelta(seconds=30)
    open_for: timedelta = timedelta(seconds=10)
    probes: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to make one call. Stamped with the era it was given in: a late outcome of an older era counts nothing."""

    era: int


@dataclass(frozen=True, slots=True)
class _Call:
    at: float
    failed: bool
    slow: bool


class Breaker:
    """The state of one protected thing."""

    def __init__(self, name: str, limits: Limits | None = None) -> None:
        self.name = name
        self.limits = limits or Limits()
        self.state = State.CLOSED
        self._era = 0
        self._opened_at = 0.0
        self._calls: deque[_Call] = deque()
        self._failed, self._slow = 0, 0  # of the calls in the window
        self._failed_in_a_row = 0
        self._probes_out = 0
        self._probes_passed = 0

    def admit(self, now: float) -> Permit | None:
        """A permit, or None when the call must not be made."""
        if self.state is State.OPEN and self.retry_after(now) <= 0:
            self._move(Event.COOL, now)
        if self.state in (State.OPEN, State.FORCED_OPEN):
            return None
        if self.state is State.HALF_OPEN:
            if self._probes_out + self._probes_passed >= self.limits.probes:
                return None
            self._probes_out += 1
        return Permit(era=self._era)

    def record(self, permit: Permit, outcome: Outcome, now: float, *, waited: float = 0.0) -> None:
        """What became of the call, and the seconds until its first token. An outcome of an older era is dropped."""
        if permit.era != self._era:
            return
        slow = waited >= self.limits.slow_after.total_seconds()
        if self.state is State.HALF_OPEN:
            self._record_probe(Outcome.FAILURE if slow and outcome is Outcome.SUCCESS else outcome, now)
        elif outcome is not Outcome.IGNORED:
            failed = outcome is Outcome.FAILURE
            self._failed_in_a_row = self._failed_in_a_row + 1 if failed else 0
            self._calls.append(_Call(now, failed, slow))
            self._failed += failed
            self._slow += slow
            if self._must_open(now):
                self._move(Event.TRIP, now)

    def retry_after(self, now: float) -> float:
        """Seconds until a probe may pass; 0 unless open by itself."""
        if self.state is not State.OPEN:
            return 0.0
        return max(0.0, self._opened_at + self.limits.open_for.total_seconds() - now)

    def counts(self, now: float) -> tuple[int, int]:
        """Calls and failures within the window."""
        self._forget(now)
        return len(self._calls), self._failed

    def reset(self, now: float) -> None:
        """Closes it by hand."""
        self._move(Event.RESET, now)

    def force_open(self, now: float) -> None:
        """Opens it by hand, until it is released or reset."""
        self._move(Event.FORCE, now)

    def release(self, now: float) -> None:
        """Ends what `force_open` began: probes decide. Raises IllegalTransition unless it was forced."""
        self._move(Event.RELEASE, now)

    def _record_probe(self, outcome: Outcome, now: float) -> None:
        self._probes_out -= 1
        if outcome is Outcome.FAILURE:
            self._move(Event.TRIP, now)
        elif outcome is Outcome.SUCCESS:
            self._probes_passed += 1
            if self._probes_passed >= self.limits.probes:
                self._move(Event.RECOVER, now)

    def _must_open(self, now: float) -> bool:
        if self._failed_in_a_row >= self.limits.in_a_row:
            return True
        calls, failures = self.counts(now)
        return calls >= self.limits.min_volume and (
            failures >= calls * self.limits.failure_rate or self._slow >= calls * self.limits.slow_rate
        )

    def _forget(self, now: float) -> None:
        horizon = now - self.limits.window.total_seconds()
        while self._calls and self._calls[0].at <= horizon:
            call = self._calls.popleft()
            self._failed -= call.failed
            self._slow -= call.slow

    def _move(self, event: Event, now: float) -> None:
        after = TRANSITIONS[self.state].get(event)
        if after is None:
            raise IllegalTransition(
                f"Breaker {self.name} is {self.state}: '{event}' is not possible.",
                remedy="GET /api/admin/breakers shows the state of each; 'release' ends 'force-open' only.",
            )
        self.state = after
        self._era += 1
        self._calls.clear()
        self._failed, self._slow = 0, 0
        self._failed_in_a_row = 0
        self._probes_out = 0
        self._probes_passed = 0
        if after is State.OPEN:
            self._opened_at = now
