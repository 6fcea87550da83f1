"""The bounded queue of answers: so many at once, so many waiting, fair between tenants."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chatbot.config import ProviderSettings
from chatbot.core.admission import Admission
from chatbot.errors import Overloaded
from chatbot.stages.admit import Places
from chatbot_house import Chatbot, Upstream, served, settings_for

QUESTION = "When is a refund possible?"


def test_one_tenant_leaves_places_to_others() -> None:
    """With places free, a tenant at its share waits, and another is answered at once."""
    admission: Admission[str] = Admission(places=4, waiting=4)
    assert [admission.enter("acme", str(n)) for n in range(4)] == [True, True, True, False]
    assert admission.enter("globex", "g") is True


def test_one_tenant_leaves_places_to_wait_to_others() -> None:
    """A tenant that fills its share of the queue is refused, and another may still wait."""
    admission: Admission[str] = Admission(places=1, waiting=4)
    admission.enter("acme", "a")
    for n in range(3):
        assert admission.enter("acme", str(n)) is False
    with pytest.raises(Overloaded) as refusal:
        admission.enter("acme", "x")
    assert refusal.value.reason == "tenant_share"
    assert admission.enter("globex", "g") is False
    with pytest.raises(Overloaded) as refusal:
        admission.enter("initech", "i")
    assert refusal.value.reason == "queue_full"


def test_a_free_place_goes_to_whoever_has_fewest() -> None:
    """Three of acme wait before one of globex comes; globex is next, and then they take turns."""
    admission: Admission[str] = Admission(places=2, waiting=8)
    admission.enter("acme", "a0"), admission.enter("acme", "a1")
    for ticket in ("a2", "a3", "a4"):
        admission.enter("acme", ticket)
    for ticket in ("g1", "g2"):
        admission.enter("globex", ticket)
    assert admission.leave("acme") == ["g1"]
    assert admission.leave("globex") == ["g2"]
    assert admission.leave("acme") == ["a2"]


class Hall(RuleBasedStateMachine):
    """Many tenants come, leave and give up in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.admission: Admission[int] = Admission(places=3, waiting=5)
        self.answering: list[tuple[str, int]] = []
        self.waiting: list[tuple[str, int]] = []
        self.next = 0

    @rule(tenant=st.sampled_from(["acme", "globex", "initech"]))
    def come(self, tenant: str) -> None:
        self.next += 1
        try:
            place = self.admission.enter(tenant, self.next)
        except Overloaded:
            return
        (self.answering if place else self.waiting).append((tenant, self.next))

    @precondition(lambda self: self.answering)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.answering))
        self.answering.remove(gone)
        for ticket in self.admission.leave(gone[0]):
            (moved,) = [each for each in self.waiting if each[1] == ticket]
            self.waiting.remove(moved)
            self.answering.append(moved)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(gone)
        self.admission.give_up(*gone)

    @invariant()
    def bounds_hold(self) -> None:
        assert self.admission.answering == len(self.answering) <= 3
        assert self.admission.waiting == len(self.waiting) <= 5
        assert all(n <= 3 for n in Counter(tenant for tenant, _ in self.answering).values())

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if len(self.answering) < 3:
            held = Counter(tenant for tenant, _ in self.answering)
            assert all(held[tenant] >= 3 for tenant, _ in self.waiting)


TestHall = Hall.TestCase
TestHall.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)


async def test_who_waits_too_long_is_told_so() -> None:
    """503 with its reason and time, and the place to wait is free again."""
    places = Places(places=1, waiting=1, longest=0.02)
    leave = await places.enter("acme")
    for _ in range(2):
        with pytest.raises(Overloaded) as refusal:
            await places.enter("globex")
        assert (refusal.value.reason, refusal.value.retry_after) == ("queue_timeout", 1)
    leave()
    (await places.enter("globex"))()


async def test_a_place_that_comes_as_one_gives_up_is_not_lost() -> None:
    """Cancelled in the moment of being admitted, the place goes on to the next."""
    places = Places(places=1, waiting=4, longest=5)
    leave = await places.enter("acme")
    waiting = asyncio.create_task(places.enter("globex"))
    await asyncio.sleep(0)
    leave()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(1):
        (await places.enter("initech"))()


@pytest.fixture
async def narrow(app_url: str, valkey_url: str, groq: Upstream) -> AsyncGenerator[Chatbot]:
    """Two answers at once, two waiting; the model holds every answer until it is released."""
    provider = ProviderSettings(name="groq", base_url=groq.url, api_key="k", model="m")
    settings = settings_for(app_url, valkey_url, providers=(provider,), answers_at_once=2, answers_waiting=2)
    groq.mode = "hold"
    async with served(settings) as chatbot:
        yield chatbot


async def until(chatbot: Chatbot, sample: str, value: float) -> None:
    async with asyncio.timeout(10):
        while await chatbot.metric(sample) != value:
            await asyncio.sleep(0.02)


async def test_the_product_is_bounded_and_recovers(narrow: Chatbot, groq: Upstream) -> None:
    """Two are answered, two wait, the fifth gets 503 with Retry-After; when answers end, those who waited are answered."""
    asked = [
        asyncio.create_task(narrow.ask(QUESTION, tenant=tenant))
        for tenant in ("acme", "acme", "globex", "globex")
    ]
    await until(narrow, 'answer_places{state="answering"}', 2)
    await until(narrow, 'answer_places{state="waiting"}', 2)
    status, _, document = await narrow.ask(QUESTION, tenant="globex")
    assert (status, document["type"]) == (503, "urn:bitb-chatbot:problem:overloaded")
    groq.release.set()
    assert [status for status, _, _ in await asyncio.gather(*asked)] == [200] * 4
    await until(narrow, 'answer_places{state="answering"}', 0)


async def test_who_leaves_frees_the_place(narrow: Chatbot) -> None:
    """Closed tabs, under way and in the queue, hold nothing."""
    asked = [asyncio.create_task(narrow.ask(QUESTION)) for _ in range(3)]
    await until(narrow, 'answer_places{state="answering"}', 2)
    await until(narrow, 'answer_places{state="waiting"}', 1)
    for task in asked:
        task.cancel()
    await until(narrow, 'answer_places{state="waiting"}', 0)
    await until(narrow, 'answer_places{state="answering"}', 0)
