"""Tiers of one alert are one incident: it is as bad as its worst, and its timeline says which came and went."""

from __future__ import annotations

from house import House


async def test_a_p1_that_becomes_p0_pages_as_p0(house: House) -> None:
    """The fallback fails as well: the incident is P0 now, and Alice is paged by the ways of a P0."""
    await house.fire("CircuitBreakerOpen", severity="P1", tier="fallback", kind="cause")
    await house.work()
    await house.fast_forward(seconds=5)
    assert (await house.incident())["incident"]["severity"] == "P1"
    assert house.world.pages == []  # by e-mail only
    await house.fire("CircuitBreakerOpen", severity="P0", tier="contract", kind="cause")
    await house.work()
    assert (await house.incident())["incident"]["severity"] == "P0"
    assert [page["incident"] for page in house.world.pages] == ["INC-1"]
    assert (
        "P1 becomes P0: CircuitBreakerOpen (contract) fires; paging begins anew by policy 'critical'"
        in await house.told()
    )


async def test_a_lesser_tier_changes_nothing(house: House) -> None:
    """P0 stays P0 when its P2 tier fires too, and nobody is paged again for that."""
    await house.fire("APIAvailabilityLow", severity="P0", tier="burn-14")
    await house.work()
    await house.fast_forward(seconds=5)
    pages = len(house.world.pages)
    await house.fire("APIAvailabilityLow", severity="P2", tier="contract")
    await house.work()
    assert (await house.incident())["incident"]["severity"] == "P0"
    assert len(house.world.pages) == pages


async def test_who_has_it_is_told_in_the_timeline_and_not_paged(house: House) -> None:
    """Alice works on it already; that it became worse is written where she looks."""
    await house.fire("CircuitBreakerOpen", severity="P1", tier="fallback", kind="cause")
    await house.work()
    await house.as_person("alice", "POST", "/api/incidents/INC-1/acknowledge")
    await house.fire("CircuitBreakerOpen", severity="P0", tier="contract", kind="cause")
    await house.work()
    assert house.world.pages == []
    assert "P1 becomes P0: CircuitBreakerOpen (contract) fires" in await house.told()


async def test_the_timeline_says_which_tier_came_and_went(house: House) -> None:
    """One tier is quiet, the other still fires: that is no end, and is not told as one."""
    await house.fire(tier="hard-down")
    await house.work()
    await house.fire(tier="contract")
    await house.work()
    await house.quiet(tier="hard-down")
    await house.work()
    told = await house.told()
    assert any(text.startswith("HighErrorRate (contract) fires") for text in told)
    assert "HighErrorRate (hard-down) is quiet; 1 more of this incident still fires" in told
    await house.quiet(tier="contract")
    await house.work()
    assert "HighErrorRate (contract) is quiet" in await house.told()
