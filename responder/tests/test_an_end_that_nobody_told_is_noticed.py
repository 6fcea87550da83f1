"""An alert whose end was never told: inhibited at that moment, or its notice lost. The incident does not hang open."""

from __future__ import annotations

from datetime import timedelta

import pytest

from house import House

# As Prometheus has them: with the state, without the labels that it adds on the way out.
SERIES = {
    "alertname": "HighErrorRate", "service": "bitb-chatbot", "severity": "P0", "kind": "symptom", "alertstate": "firing",
}  # fmt: skip
SETTLE = {"seconds": 121}


async def ended_untold(house: House) -> None:
    """It fired, Prometheus remembers that, and has it no more; no notice comes."""
    await house.fire(cluster="eu")
    await house.work()
    # Asked as far back as the alert began, Prometheus knows it; of the last two minutes it does not.
    house.world.samples = {'alertstate="firing"}[241': [(SERIES, 5.0)]}


async def test_what_prometheus_has_let_go_is_quiet_and_then_resolved(house: House) -> None:
    """After a settling time without it the alert counts as quiet; after another, with the checks passing, it is over."""
    await ended_untold(house)
    await house.fast_forward(**SETTLE)
    assert (
        "Prometheus has not had HighErrorRate for 120 s, and no notice of its end came" in await house.told()
    )
    assert (await house.incident())["incident"]["resolved_at"] is None
    await house.fast_forward(**SETTLE)
    assert (await house.incident())["incident"]["status"] == "resolved"


async def stays_open(house: House) -> None:
    for _ in range(3):
        await house.fast_forward(**SETTLE)
    assert (await house.incident())["incident"]["resolved_at"] is None


async def test_what_still_fires_stays(house: House) -> None:
    """Prometheus has it now: the incident is open, however long."""
    await house.fire()
    await house.work()
    house.world.samples = {"ALERTS": [(SERIES, 5.0)]}
    await stays_open(house)


async def test_what_prometheus_never_had_is_not_judged_by_it(house: House) -> None:
    """Another Prometheus may hold the rule: without proof that this one knew the alert, it counts as firing."""
    await house.fire()
    await house.work()
    house.world.samples = {}
    await stays_open(house)


async def test_the_series_of_another_alert_is_no_proof(house: House) -> None:
    """Another tier of the same alert that ended says nothing of this one."""
    await ended_untold(house)
    house.world.samples = {
        part: [({**SERIES, "tier": "fast-burn"}, value) for _, value in rows]
        for part, rows in house.world.samples.items()
    }
    await stays_open(house)


@pytest.mark.parametrize("fault", ["down", "just started"])
async def test_a_prometheus_that_cannot_know_is_not_believed(house: House, fault: str) -> None:
    """One that is down, or was a moment ago, has no alerts: that is no proof that they ended."""
    await ended_untold(house)
    if fault == "down":
        house.world.query_status = 503
        await stays_open(house)
        return
    house.world.prometheus_since = house.clock.now() + timedelta(seconds=60)
    await house.fast_forward(**SETTLE)
    assert (await house.incident())["incident"]["resolved_at"] is None
    assert not any("no notice" in text for text in await house.told())
