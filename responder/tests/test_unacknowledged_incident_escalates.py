"""Paging goes on until someone answers; every step fires at its time, late or not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from house import House


def paged(house: House) -> list[str]:
    return [page["person"] for page in house.world.pages]


async def test_when_alice_does_not_answer_bob_is_paged_then_carol(house: House) -> None:
    """Five minutes later the secondary, fifteen minutes later the engineering lead."""
    await house.fire()
    await house.work()
    assert paged(house) == ["alice"]
    await house.fast_forward(minutes=4, seconds=59)
    assert paged(house) == ["alice"]
    await house.fast_forward(seconds=1)
    assert sorted(paged(house)) == ["alice", "alice", "bob"]
    await house.fast_forward(minutes=10)
    assert paged(house)[-1] == "carol"
    assert (await house.kinds()).count("escalated") == 2


async def test_the_policy_begins_again_and_then_ends(house: House) -> None:
    """Two more rounds, ten minutes after the last step; then nobody else is left to page."""
    await house.fire()
    await house.work()
    for _ in range(120):
        await house.fast_forward(minutes=1)
    assert paged(house).count("carol") == 3
    assert paged(house).count("bob") == 3
    assert len({page["idempotency_key"] for page in house.world.pages}) == len(house.world.pages)


async def test_an_answer_stops_everything(house: House) -> None:
    """After the button is pressed nobody is paged, however long it takes."""
    await house.fire()
    await house.work()
    await house.press(house.world.pages[0]["ack_url"])
    await house.fast_forward(hours=3)
    assert paged(house) == ["alice"]
    assert "acknowledged" in await house.kinds()


async def test_a_page_that_was_overtaken_by_an_answer_is_withdrawn(house: House) -> None:
    """Bob's page is in the outbox, his provider down; Alice answers; Bob sleeps on."""
    await house.fire()
    await house.work()
    first = house.world.pages[0]["ack_url"]
    house.world.webhook_status = 500
    await house.fast_forward(minutes=5)
    await house.press(first)
    house.world.webhook_status = 200
    await house.fast_forward(minutes=5)
    assert "bob" not in paged(house)
    assert "page_withdrawn" in await house.kinds()


async def test_a_provider_that_fails_is_tried_again_with_the_same_key(house: House) -> None:
    """The page arrives as soon as the provider does its work again, under the key it always had."""
    house.world.webhook_status = 503
    await house.fire()
    await house.work()
    assert paged(house) == []
    house.world.webhook_status = 200
    await house.fast_forward(seconds=2)
    assert paged(house) == ["alice"]
    headers = house.world.page_headers[0]
    assert headers["Idempotency-Key"] == house.world.pages[0]["idempotency_key"]
    assert headers["X-Responder-Signature"].startswith("t=")


async def test_a_provider_that_refuses_for_good_is_told_of(house: House) -> None:
    """404 is no reason to try again; the other channel has the page, and the timeline says what failed."""
    house.world.webhook_status = 404
    await house.fire()
    await house.work()
    assert "page_failed" in await house.kinds()
    assert any("Alice cannot be paged by webhook" in text for text in await house.told())
    assert len(house.world.mails) == 1


async def test_the_mail_carries_the_link_and_what_was_found(house: House) -> None:
    """One bar of signal: the text alone must be enough."""
    await house.fire()
    await house.work()
    mail = house.world.mails[0].replace("=\n", "").replace("=3D", "=")
    assert "[P0] INC-1 High Error Rate" in mail
    assert house.world.pages[0]["ack_url"].rpartition("/ack/")[0] in mail
    assert "Evidence:" in mail


async def test_a_mail_server_that_says_later_is_asked_later(house: House) -> None:
    """A 4yz answer is not the end."""
    house.world.mail_reply = "451 later"
    await house.fire()
    await house.work()
    assert house.world.mails == []
    house.world.mail_reply = "250 OK"
    await house.fast_forward(seconds=2)
    assert len(house.world.mails) == 1


async def test_a_missed_deadline_is_written_down(house: House) -> None:
    """Nobody acknowledges within the runbook's five minutes: everyone can read that."""
    await house.fire()
    await house.work()
    await house.fast_forward(minutes=5)
    assert any("Not yet: acknowledge" in text for text in await house.told())
    await house.press(house.world.pages[0]["ack_url"])
    deadline = (await house.incident())["deadlines"][0]
    assert deadline["missed_at"]
    assert deadline["met_at"]


async def test_the_first_page_waits_for_evidence_but_not_for_ever(house: House) -> None:
    """Evidence that is slow does not hold the page back longer than the policy allows."""
    house.world.hold = asyncio.Event()
    await house.fire()
    async with house.worker_running():
        await house.until(lambda: len(house.world.queries) == 2)
        assert paged(house) == []
        house.clock.move(timedelta(seconds=3))
        await house.until(lambda: paged(house) == ["alice"])
        assert [item["step"] for item in house.world.pages[0]["evidence"]] == ["4"]  # the log needed nobody
        house.world.hold.set()
