"""The circuit breaker, as stories and as a state machine that Hypothesis drives."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chatbot.core.breaker import TRANSITIONS, Breaker, Event, Limits, Outcome, Permit, State
from chatbot.core.breakers import MODELS, Breakers
from chatbot.errors import IllegalTransition

LIMITS = Limits(
    failure_rate=0.5, min_volume=4, window=timedelta(seconds=30), open_for=timedelta(seconds=10), probes=2
)
SLOW = Limits(min_volume=5)


def call(breaker: Breaker, outcome: Outcome, now: float) -> bool:
    permit = breaker.admit(now)
    if permit is None:
        return False
    breaker.record(permit, outcome, now)
    return True


def opened() -> Breaker:
    breaker = Breaker("groq", LIMITS)
    for _ in range(4):
        call(breaker, Outcome.FAILURE, 0)
    return breaker


def test_it_opens_at_the_rate_once_there_is_volume() -> None:
    """Three failures of three are not enough; with four calls and half of them failed it opens."""
    breaker = Breaker("groq", LIMITS)
    for _ in range(3):
        call(breaker, Outcome.FAILURE, 0)
    assert breaker.state is State.CLOSED
    call(breaker, Outcome.SUCCESS, 0)
    assert breaker.state is State.OPEN
    assert breaker.admit(9.9) is None


def test_old_failures_are_forgotten() -> None:
    """Failures that left the window do not open it."""
    breaker = Breaker("groq", LIMITS)
    for _ in range(3):
        call(breaker, Outcome.FAILURE, 0)
    call(breaker, Outcome.FAILURE, 30)
    assert breaker.state is State.CLOSED


def test_closed_tabs_neither_open_nor_close_it() -> None:
    """Any number of ignored calls leaves a closed breaker closed and a half-open one half-open."""
    breaker = Breaker("groq", LIMITS)
    for _ in range(50):
        call(breaker, Outcome.IGNORED, 0)
    assert (breaker.state, breaker.counts(0)) == (State.CLOSED, (0, 0))
    breaker = opened()
    for _ in range(50):
        assert call(breaker, Outcome.IGNORED, 10)
    assert breaker.state is State.HALF_OPEN


def test_half_open_lets_a_fixed_number_of_probes_through() -> None:
    """After the pause two calls pass, not everyone; when both succeed it closes."""
    breaker = opened()
    permits = [breaker.admit(10), breaker.admit(10), breaker.admit(10)]
    assert permits[2] is None
    for permit in permits[:2]:
        assert permit is not None
        breaker.record(permit, Outcome.SUCCESS, 10)
    assert breaker.state is State.CLOSED


def test_one_failed_probe_opens_it_again() -> None:
    """A failed probe opens it for the whole pause."""
    breaker = opened()
    call(breaker, Outcome.FAILURE, 10)
    assert (breaker.state, breaker.retry_after(10)) == (State.OPEN, 10)


def test_a_late_answer_of_an_older_era_counts_nothing() -> None:
    """A call that began before it opened cannot close it."""
    breaker = Breaker("groq", LIMITS)
    early = [breaker.admit(0) for _ in range(2)]
    for _ in range(4):
        call(breaker, Outcome.FAILURE, 0)
    breaker.admit(10)
    for permit in early:
        assert permit is not None
        breaker.record(permit, Outcome.SUCCESS, 10)
    assert breaker.state is State.HALF_OPEN


def test_what_a_person_opened_stays_open_until_a_person_says_so() -> None:
    """Forced open, no time closes it; released, probes decide; reset closes it from every state."""
    for state in State:
        assert TRANSITIONS[state][Event.FORCE] is State.FORCED_OPEN
        assert TRANSITIONS[state][Event.RESET] is State.CLOSED
    breaker = Breaker("groq", LIMITS)
    breaker.force_open(0)
    assert breaker.admit(1_000_000) is None
    breaker.release(1_000_000)
    for _ in range(2):
        assert call(breaker, Outcome.SUCCESS, 1_000_000)
    assert breaker.state is State.CLOSED
    breaker.force_open(1_000_001)
    breaker.reset(1_000_001)
    assert breaker.admit(1_000_001) is not None


def test_only_what_was_forced_can_be_released() -> None:
    """An impossible event raises and changes nothing."""
    breaker = opened()
    with pytest.raises(IllegalTransition, match="'release' is not possible"):
        breaker.release(1)
    assert breaker.state is State.OPEN


def test_slow_calls_open_it_too() -> None:
    """A provider that answers everything, but late, is as bad: four of five slow calls open it, three do not."""
    for slow, after in ((3, State.CLOSED), (4, State.OPEN)):
        breaker = Breaker("groq", SLOW)
        for position in range(5):
            permit = breaker.admit(0)
            assert permit is not None
            breaker.record(permit, Outcome.SUCCESS, 0, waited=6.0 if position < slow else 0.1)
        assert breaker.state is after


def test_a_slow_probe_does_not_close_it() -> None:
    """In half-open a late answer counts as a failed probe."""
    breaker = opened()
    permit = breaker.admit(10)
    assert permit is not None
    breaker.record(permit, Outcome.SUCCESS, 10, waited=5.0)
    assert breaker.state is State.OPEN


def test_a_busy_provider_that_dies_is_left_within_ten_failures() -> None:
    """A thousand good calls in the window do not keep a dead provider in use: failures in a row open it."""
    breaker = Breaker("groq")
    for _ in range(1000):
        call(breaker, Outcome.SUCCESS, 0)
    failures = 0
    while breaker.state is State.CLOSED:
        call(breaker, Outcome.FAILURE, 1)
        failures += 1
    assert failures <= 10


def test_each_model_has_a_breaker_of_its_own() -> None:
    """A sick model closes off itself only; the provider's name stands for all of them; their number is bounded."""
    breakers = Breakers("groq", "small", LIMITS)
    large = breakers.of("large", 0)
    for _ in range(4):
        call(large, Outcome.FAILURE, 0)
    assert (large.name, large.state, breakers.default.state) == ("groq/large", State.OPEN, State.CLOSED)
    assert breakers.named("groq") == [breakers.default, large]
    assert breakers.named("groq/large") == [large]
    for position in range(100):
        breakers.of(f"model-{position}", 0)
    assert len(breakers.all()) == MODELS + 1


def test_a_provider_that_is_forced_open_is_so_for_models_that_nobody_asked_yet() -> None:
    """There is no way round: a tenant's own model is not asked either."""
    breakers = Breakers("groq", "small", LIMITS)
    for breaker in breakers.named("groq"):
        breaker.force_open(0)
    assert breakers.of("new", 0).admit(0) is None


class BreakerMachine(RuleBasedStateMachine):
    """Any interleaving of calls, outcomes and time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker("groq", LIMITS)
        self.now = 0.0
        self.out: list[Permit] = []
        self.probes_out: list[Permit] = []

    @rule()
    def begin(self) -> None:
        before = self.breaker.state
        permit = self.breaker.admit(self.now)
        if before is State.FORCED_OPEN:
            assert permit is None
        if before is State.OPEN and permit is not None:
            assert self.breaker.state is State.HALF_OPEN
        if permit is not None:
            self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(outcome=st.sampled_from(Outcome), waited=st.sampled_from([0.0, 10.0]), data=st.data())
    def end(self, outcome: Outcome, waited: float, data: st.DataObject) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before, era, counts = self.breaker.state, self.breaker._era, self.breaker.counts(self.now)
        self.breaker.record(permit, outcome, self.now, waited=waited)
        after = self.breaker.state
        assert after is before or after in TRANSITIONS[before].values()
        if permit.era != era or outcome is Outcome.IGNORED:
            assert after is before
            assert self.breaker.counts(self.now) == counts
        if after is State.CLOSED and before is State.HALF_OPEN:
            assert (outcome, waited) == (Outcome.SUCCESS, 0.0)
        if before is State.FORCED_OPEN:
            assert after is before

    @rule()
    def force_open(self) -> None:
        self.breaker.force_open(self.now)
        assert self.breaker.state is State.FORCED_OPEN

    @rule()
    def release(self) -> None:
        before = self.breaker.state
        if before is State.FORCED_OPEN:
            self.breaker.release(self.now)
            assert self.breaker.state is State.HALF_OPEN
        else:
            with pytest.raises(IllegalTransition):
                self.breaker.release(self.now)
            assert self.breaker.state is before

    @rule()
    def reset(self) -> None:
        self.breaker.reset(self.now)
        assert (self.breaker.state, self.breaker.counts(self.now)) == (State.CLOSED, (0, 0))

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def never_more_probes_than_allowed(self) -> None:
        if self.breaker.state is State.HALF_OPEN:
            current = [permit for permit in self.out if permit.era == self.breaker._era]
            assert len(current) == self.breaker._probes_out <= LIMITS.probes

    @invariant()
    def never_open_for_longer_than_the_pause(self) -> None:
        assert 0 <= self.breaker.retry_after(self.now) <= LIMITS.open_for.total_seconds() + 1e-6


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
