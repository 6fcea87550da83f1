"""What happens: ordinary days with their noise, blips that hurt nobody, and incidents. Everything from one seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

STEP = 15
DAY = 86_400 // STEP
MINUTE = 60 // STEP
HOUR = 60 * MINUTE
OBJECTIVE = 0.999
# The longest window that pages, and a tenant's usual level, are full by then; the days that count begin.
WARM_UP = 4 * DAY
PARTS = ("service", "database", "redis", "groq", "queue")

Floats = NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class Month:
    """The measured quantities, a value a step. What nobody measures at a step is in `unseen`."""

    days: int
    rng: np.random.Generator
    requests: Floats
    error_share: Floats
    slow_share: Floats
    up: Floats
    probes: dict[str, Floats]
    breaker: dict[str, Floats]
    unaided_share: Floats
    active: Floats
    idle_in_transaction: Floats
    pool_in_use: Floats
    pool_waiting: Floats
    auth_failed: Floats
    violations: Floats
    unseen: NDArray[np.bool_]
    restarts: list[int] = field(default_factory=list)

    @property
    def steps(self) -> int:
        return self.days * DAY

    @property
    def allowed(self) -> float:
        """How many requests the objective lets fail, in the days that count."""
        return float(self.requests[WARM_UP:].sum()) * (1 - OBJECTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that was made to happen: from step `start`, for `steps`. `cost` is its share of the month's error budget."""

    name: str
    incident: bool
    start: int
    steps: int
    cost: float


def ordinary(days: int, *, seed: int) -> Month:
    """Days and nights of a small service: nine requests a second by day, one in nine seconds at night, one failure in 20,000."""
    rng = np.random.default_rng(seed)
    steps = days * DAY
    hour = (np.arange(steps) % DAY) / HOUR
    by_day = np.exp(2.2 * np.sin((hour - 7) / 24 * 2 * np.pi))
    requests = rng.poisson(by_day * STEP).astype(float)
    return Month(
        days=days,
        rng=rng,
        requests=requests,
        error_share=np.full(steps, 0.00005),
        slow_share=np.full(steps, 0.01),
        up=np.ones(steps),
        probes={part: np.ones(steps) for part in PARTS},
        breaker={"groq": np.zeros(steps), "openai": np.zeros(steps)},
        unaided_share=np.zeros(steps),
        active=rng.integers(2, 12, steps).astype(float),
        idle_in_transaction=rng.integers(0, 3, steps).astype(float),
        pool_in_use=rng.integers(1, 6, steps).astype(float),
        pool_waiting=np.zeros(steps),
        auth_failed=rng.poisson(by_day * 0.03 * STEP).astype(float),
        violations=np.zeros(steps),
        unseen=np.zeros(steps, dtype=bool),
    )


Effect = Callable[[Month, slice], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of event: `minutes` from and to, and what it does. `hours` are those of the day in which it may begin."""

    name: str
    minutes: tuple[float, float]
    effect: Effect
    hours: tuple[int, int] = (0, 24)


def errors(low: float, high: float) -> Effect:
    def apply(month: Month, at: slice) -> None:
        month.error_share[at] = month.rng.uniform(low, high)

    return apply


def few_at_night(month: Month, at: slice) -> None:
    """Twenty requests, of which two or three fail."""
    month.requests[at] = 1.0
    month.error_share[at] = 0.12


def restart(month: Month, at: slice) -> None:
    month.up[at.start] = 0
    month.unseen[at.start] = True
    month.restarts.append(at.start)


def probe_fails(month: Month, at: slice) -> None:
    month.probes[str(month.rng.choice(PARTS))][at] = 0


def breaker_opens(month: Month, at: slice) -> None:
    month.breaker["groq"][at] = 1


def connections_peak(month: Month, at: slice) -> None:
    month.active[at] = month.rng.uniform(92, 97)


def auth_burst(month: Month, at: slice) -> None:
    month.auth_failed[at] = month.rng.uniform(6, 12) * STEP


def slower(month: Month, at: slice) -> None:
    month.slow_share[at] = month.rng.uniform(0.08, 0.3)


def unmeasured(month: Month, at: slice) -> None:
    month.unseen[at] = True


BLIPS = (
    Kind(name="a moment of total failure", minutes=(0.25, 0.25), effect=errors(0.5, 1.0)),
    Kind(name="some minutes of a few percent", minutes=(1, 4), effect=errors(0.01, 0.05)),
    Kind(name="a trickle of failures", minutes=(10, 40), effect=errors(0.0015, 0.004)),
    Kind(name="two of twenty at night", minutes=(5, 5), effect=few_at_night, hours=(0, 4)),
    Kind(name="a restart", minutes=(0.25, 0.25), effect=restart),
    Kind(name="a failed probe or two", minutes=(0.25, 0.5), effect=probe_fails),
    Kind(name="a breaker open for a minute or two", minutes=(0.5, 2), effect=breaker_opens),
    Kind(name="a peak of connections", minutes=(1, 4), effect=connections_peak),
    Kind(name="a burst of failed sign-ins", minutes=(1, 3), effect=auth_burst),
    Kind(name="some slow minutes", minutes=(3, 7), effect=slower),
    Kind(name="a gap in the measurements", minutes=(0.5, 3), effect=unmeasured),
)


def dies(month: Month, at: slice) -> None:
    month.up[at] = 0
    month.unseen[at] = True
    month.restarts.append(at.start)
    for part in PARTS:
        month.probes[part][at] = 0


def part_down(part: str, share: float = 0.0, error_share: float = 0.0) -> Effect:
    """`share` of its probes still succeed."""

    def apply(month: Month, at: slice) -> None:
        n = at.stop - at.start
        every = round(1 / share) if share else 0
        month.probes[part][at] = [float(bool(every) and i % every == every - 1) for i in range(n)]
        if error_share:
            month.error_share[at] = error_share

    return apply


def breaker_flaps(month: Month, at: slice) -> None:
    """Half-open for a moment each minute, and the fallback does not carry it."""
    month.breaker["groq"][at] = [float(i % MINUTE != 0) for i in range(at.stop - at.start)]
    month.unaided_share[at] = 0.4


def breaker_stays_open(month: Month, at: slice) -> None:
    month.breaker["groq"][at] = 1


def leak(month: Month, at: slice) -> None:
    month.idle_in_transaction[at] = 88


def pool_dry(month: Month, at: slice) -> None:
    month.pool_in_use[at] = 10
    month.pool_waiting[at] = 6
    month.slow_share[at] = 0.04


def attack(month: Month, at: slice) -> None:
    month.auth_failed[at] = 30 * STEP


def violation(month: Month, at: slice) -> None:
    month.violations[at.start :] += 1


def slow(month: Month, at: slice) -> None:
    month.slow_share[at] = 0.35


INCIDENTS = (
    Kind(name="everything fails for 2 minutes", minutes=(2, 2), effect=errors(1, 1), hours=(9, 17)),
    Kind(name="everything fails for a minute", minutes=(1, 1), effect=errors(1, 1), hours=(9, 17)),
    Kind(name="60% fail for 5 minutes", minutes=(5, 5), effect=errors(0.6, 0.6), hours=(9, 17)),
    Kind(name="20% fail for 10 minutes", minutes=(10, 10), effect=errors(0.2, 0.2), hours=(9, 17)),
    Kind(name="8% fail for half an hour", minutes=(30, 30), effect=errors(0.08, 0.08), hours=(9, 17)),
    Kind(name="5% fail for half an hour", minutes=(30, 30), effect=errors(0.05, 0.05), hours=(9, 17)),
    Kind(name="3% fail for 2 hours", minutes=(120, 120), effect=errors(0.03, 0.03), hours=(9, 16)),
    Kind(name="1% fails for 5 hours", minutes=(300, 300), effect=errors(0.01, 0.01), hours=(9, 13)),
    Kind(name="the process is dead for 10 minutes", minutes=(10, 10), effect=dies),
    Kind(name="the process is dead for half an hour", minutes=(30, 30), effect=dies),
    Kind(
        name="the database is down for 6 minutes",
        minutes=(6, 6),
        effect=part_down("database", error_share=1.0),
    ),
    Kind(name="Redis fails three probes of four", minutes=(20, 20), effect=part_down("redis", share=0.25)),
    Kind(name="the queue's worker is dead", minutes=(30, 30), effect=part_down("queue")),
    Kind(
        name="the breaker flaps, answers lack a model", minutes=(25, 25), effect=breaker_flaps, hours=(9, 17)
    ),
    Kind(
        name="the breaker is open, the fallback works",
        minutes=(40, 40),
        effect=breaker_stays_open,
        hours=(9, 17),
    ),
    Kind(name="sessions idle in a transaction leak", minutes=(25, 25), effect=leak),
    Kind(name="the pool runs dry", minutes=(15, 15), effect=pool_dry),
    Kind(name="sign-ins are attacked", minutes=(20, 20), effect=attack),
    Kind(name="one tenant's row is shown to another", minutes=(5, 5), effect=violation),
    Kind(name="a third of the answers are slow", minutes=(40, 40), effect=slow, hours=(9, 17)),
)

# What follows an event (windows that must empty, alerts that go on for a while) is over before the next one of note.
BEFORE_INCIDENT = 30 * MINUTE
AFTER_INCIDENT = 150 * MINUTE
BETWEEN_BLIPS = 10 * MINUTE


def happen(month: Month, *, blips: int, incidents: bool) -> list[Event]:
    """Makes them happen at random moments that do not touch each other; the list is in the order of time."""
    taken = np.zeros(month.steps, dtype=bool)
    taken[:WARM_UP] = True
    events: list[Event] = []
    for kind in INCIDENTS if incidents else ():
        events.append(_place(month, kind, taken, incident=True))
    for number in range(blips):
        events.append(_place(month, BLIPS[number % len(BLIPS)], taken, incident=False))
    return sorted(events, key=lambda event: event.start)


def _place(month: Month, kind: Kind, taken: NDArray[np.bool_], *, incident: bool) -> Event:
    rng = month.rng
    steps = max(1, round(rng.uniform(*kind.minutes) * MINUTE))
    before, after = (BEFORE_INCIDENT, AFTER_INCIDENT) if incident else (BETWEEN_BLIPS, BETWEEN_BLIPS)
    while True:
        day = rng.integers(0, month.days)
        start = int(day * DAY + rng.uniform(*kind.hours) * HOUR)
        around = slice(max(0, start - before), start + steps + after)
        if around.stop < month.steps and not taken[around].any():
            break
    taken[around] = True
    at = slice(start, start + steps)
    kind.effect(month, at)
    lost = float((month.requests[at] * month.error_share[at]).sum())
    if "dead" in kind.name and "process" in kind.name:
        lost = float(month.requests[at].sum())
    return Event(name=kind.name, incident=incident, start=start, steps=steps, cost=lost / month.allowed)
