"""An incident is resolved when its rule is quiet and the runbook's own checks pass, for the settling time."""

from __future__ import annotations

from house import House


async def test_quiet_alone_is_not_enough(house: House) -> None:
    """The rule is quiet, Redis is still down: the incident stays open and says why, then ends when Redis is back."""
    await house.fire()
    await house.work()
    house.world.health["redis"] = (503, {"status": "down", "reason": "connection refused"})
    await house.quiet()
    await house.work()
    await house.fast_forward(minutes=2)
    assert (await house.incident())["incident"]["status"] == "triggered"
    assert any("redis down" in text for text in await house.told())
    house.world.health = {}
    await house.fast_forward(minutes=2)
    assert (await house.incident())["incident"]["status"] == "resolved"


async def test_what_fires_again_while_it_settles_is_not_resolved(house: House) -> None:
    """Flapping does not end an incident: the settling time begins anew."""
    await house.fire(tier="hard-down")
    await house.work()
    await house.quiet(tier="hard-down")
    await house.work()
    await house.fast_forward(minutes=1)
    await house.fire(tier="contract")
    await house.work()
    await house.fast_forward(minutes=5)
    assert (await house.incident())["incident"]["status"] == "triggered"
    await house.quiet(tier="contract")
    await house.work()
    await house.fast_forward(minutes=2)
    assert (await house.incident())["incident"]["status"] == "resolved"


async def test_what_recovers_by_itself_stops_paging(house: House) -> None:
    """Nobody answered, the fault went away: no further page."""
    await house.fire()
    await house.work()
    await house.quiet()
    await house.work()
    await house.fast_forward(minutes=2)
    pages = len(house.world.pages)
    await house.fast_forward(hours=1)
    assert len(house.world.pages) == pages


async def test_the_same_alert_later_is_a_new_incident(house: House) -> None:
    """After a resolution the next firing opens INC-2, with pages of its own."""
    await house.fire(run="1")
    await house.work()
    await house.quiet(run="1")
    await house.work()
    await house.fast_forward(minutes=2)
    await house.fire(run="2")
    await house.work()
    assert [page["incident"] for page in house.world.pages] == ["INC-1", "INC-2"]


async def test_a_source_that_does_not_answer_is_no_proof_of_health(house: House) -> None:
    """Evidence that could not be had is told as missing, with its step, and never as well."""
    house.world.samples = {}
    house.world.query_status = 503
    await house.fire()
    await house.work()
    incident = await house.incident()
    lost = [item for item in incident["evidence"] if item["outcome"] == "error"]
    assert [item["step_number"] for item in lost] == ["1", "2"]
    assert any("not whole" in finding["claim"] for finding in incident["findings"])
