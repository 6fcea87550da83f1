"""From moments at which an expression is true to alerts that fire, pages, and how good they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from replay.month import Event

# What fires again so soon is the same page: the responder joins it to what is open.
SAME_PAGE = 300
# An incident may be told a little after it ended: windows and `for` take their time.
STILL_TOLD = 600


@dataclass(frozen=True, slots=True, order=True)
class Firing:
    """From when to when an alert fired, in seconds."""

    start: int
    end: int
    alert: str
    tier: str
    severity: str


def firings(moments: Sequence[int], *, step: int, wait: int, keep: int) -> list[tuple[int, int]]:
    """When an alert fires whose expression is true at `moments`: after `for`, and for `keep_firing_for` beyond the last.

    As Prometheus does it: pending from the first moment, firing at the first one that is `wait` later without a gap; once it
    fires, a gap shorter than `keep` does not end it.
    """
    found: list[tuple[int, int]] = []
    began: int | None = None  # of the present run without a gap
    fires: tuple[int, int] | None = None
    last = 0
    for at in moments:
        if fires and at - last > max(step, keep + step):
            found.append((fires[0], last + keep + step))
            fires, began = None, None
        if fires is None and (began is None or at - last > step):
            began = at
        if fires is None and began is not None and at - began >= wait:
            fires = (at, at)
        last = at
    if fires:
        found.append((fires[0], last + keep + step))
    return found


def pages(found: Iterable[Firing], severities: frozenset[str]) -> list[Firing]:
    """What people are told: the tiers of one alert that overlap, or follow closely, are one page."""
    told: list[Firing] = []
    open_: dict[str, Firing] = {}
    for firing in sorted(firing for firing in found if firing.severity in severities):
        before = open_.get(firing.alert)
        if before and firing.start - before.end <= SAME_PAGE:
            told.remove(before)
            firing = Firing(
                before.start, max(before.end, firing.end), firing.alert, before.tier, before.severity
            )
        open_[firing.alert] = firing
        told.append(firing)
    return sorted(told)


@dataclass(frozen=True, slots=True)
class Told:
    """One incident, and the seconds from its beginning to the first that was told of it; None: never."""

    event: Event
    after: int | None
    by: str


def first_told(event: Event, start: int, end: int, told: Sequence[Firing]) -> Told:
    """The first page that began while the incident was on, or a little after."""
    during = [page for page in told if start <= page.start <= end + STILL_TOLD]
    if not during:
        return Told(event, None, "")
    first = min(during)
    return Told(event, first.start - start, f"{first.alert} ({first.tier})" if first.tier else first.alert)
