"""A circuit breaker: a sliding window of outcomes, a fixed number of probes, and a third outcome that counts for nothing.

Libraries count a cancelled request as a failure, or an excluded one as a success; closed browser tabs then open the
breaker, or close one that should stay open. Here such an outcome is *ignored*: it only gives its probe back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


class Event(StrEnum):
    TRIP = "trip"
    PROBE = "probe"
    HEAL = "heal"
    RESET = "reset"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.CLOSED: {Event.TRIP: State.OPEN, Event.RESET: State.CLOSED},
    State.OPEN: {Event.PROBE: State.HALF_OPEN, Event.RESET: State.CLOSED},
    State.HALF_OPEN: {Event.TRIP: State.OPEN, Event.HEAL: State.CLOSED, Event.RESET: State.CLOSED},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`window` and `rest` in seconds. It opens when `failure_share` of at least `least` calls in `window` failed."""

    window: float = 30.0
    least: int = 5
    failure_share: float = 0.5
    rest: float = 10.0
    probes: int = 2


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. `epoch` tells late outcomes of an earlier state from those that count."""

    epoch: int


@dataclass(slots=True)
class Breaker:
    """One per provider and model. Every method takes `now`, seconds of a clock that only goes forward."""

    limits: Limits = field(default_factory=Limits)
    state: State = State.CLOSED
    _epoch: int = 0
    _opened_at: float = 0.0
    _probing: int = 0
    _healed: int = 0
    _outcomes: deque[tuple[float, Outcome]] = field(default_factory=deque[tuple[float, Outcome]])

    def ask(self, now: float) -> Permit | None:
        """Leave to call, or None: then do without at once."""
        if self.state is State.OPEN and now - self._opened_at >= self.limits.rest:
            self._move(Event.PROBE, now)
        if self.state is State.OPEN:
            return None
        if self.state is State.HALF_OPEN:
            if self._probing + self._healed >= self.limits.probes:
                return None
            self._probing += 1
        return Permit(self._epoch)

    def tell(self, permit: Permit, outcome: Outcome, now: float) -> None:
        """What became of a permitted call. Of a call from before the last change of state, nothing is learnt."""
        if permit.epoch != self._epoch:
            return
        if self.state is State.HALF_OPEN:
            self._probed(outcome, now)
        elif outcome is not Outcome.IGNORED:
            self._outcomes.append((now, outcome))
            self._judge(now)

    def reset(self, now: float) -> None:
        """Closes it by hand."""
        self._move(Event.RESET, now)

    def _probed(self, outcome: Outcome, now: float) -> None:
        self._probing -= 1
        if outcome is Outcome.FAILURE:
            self._move(Event.TRIP, now)
        elif outcome is Outcome.SUCCESS:
            self._healed += 1
            if self._healed >= self.limits.probes:
                self._move(Event.HEAL, now)

    def _judge(self, now: float) -> None:
        while self._outcomes and now - self._outcomes[0][0] > self.limits.window:
            self._outcomes.popleft()
        failures = sum(outcome is Outcome.FAILURE for _, outcome in self._outcomes)
        enough = len(self._outcomes) >= self.limits.least
        if enough and failures / len(self._outcomes) >= self.limits.failure_share:
            self._move(Event.TRIP, now)

    def _move(self, event: Event, now: float) -> None:
        self.state = TRANSITIONS[self.state][event]
        self._epoch += 1
        self._probing = self._healed = 0
        self._outcomes.clear()
        if self.state is State.OPEN:
            self._opened_at = now
