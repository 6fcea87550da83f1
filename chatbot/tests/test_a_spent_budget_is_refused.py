"""The budget of a day: set aside before the work, settled after it, new at midnight UTC."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from chatbot.core.answers import most_tokens, prompt
from chatbot.core.caller import Caller, CallerKind
from chatbot.core.history import Turn, tokens_of
from chatbot.core.passages import Passage
from chatbot.core.pieces import LONGEST_HEADING, MOST_LETTERS
from chatbot.core.quotas import DEFAULTS, Limits, Quota, day_of, seconds_of_day_left
from chatbot.core.tenancy import TenantId
from chatbot.errors import BudgetSpent, QuotaReached
from chatbot.stages.spend import charge, reserve
from chatbot.store.usage import hold_limits, set_quotas, usage_on
from chatbot_house import Chatbot, Upstream


def caller_of(chatbot: Chatbot, tenant: str = "acme") -> Caller:
    return Caller(tenant=chatbot.tenants[tenant], actor="key x", kind=CallerKind.API_KEY)


async def set_budget(chatbot: Chatbot, **values: int | None) -> None:
    tenant_id = chatbot.tenants["acme"].tenant_id
    async with chatbot.parts.database.tenant(tenant_id) as conn:
        changes = {Quota(name): value for name, value in values.items()}
        await set_quotas(conn, tenant_id, changes, by="test")


async def used(chatbot: Chatbot) -> tuple[int, int]:
    tenant_id = chatbot.tenants["acme"].tenant_id
    async with chatbot.parts.database.tenant(tenant_id) as conn:
        usage = await usage_on(conn, tenant_id, day_of(chatbot.parts.clocks.wall()))
    return usage.requests, usage.tokens


async def test_the_next_request_after_the_budget_is_refused_until_midnight(chatbot: Chatbot) -> None:
    """Whoever crosses the line is still answered, the next is told when to come back, and midnight opens again."""
    await set_budget(chatbot, tokens_per_day=1000)
    caller, parts = caller_of(chatbot), chatbot.parts
    first = await reserve(parts, caller, tokens=800)
    await charge(parts, first, tokens=999)
    await charge(parts, await reserve(parts, caller, tokens=800), tokens=1)
    assert await used(chatbot) == (2, 1000)
    with pytest.raises(BudgetSpent, match="1000 of its 1000 tokens") as refused:
        await reserve(parts, caller, tokens=800)
    assert await used(chatbot) == (2, 1000)
    assert refused.value.retry_after == pytest.approx(seconds_of_day_left(parts.clocks.wall()), abs=5)
    assert "budget acme --tokens-per-day" in refused.value.remedy
    await reserve(parts, caller, tokens=0)  # quoted or cached: costs no token
    await reserve(parts, caller_of(chatbot, "globex"), tokens=800)
    chatbot.clock.fast_forward(refused.value.retry_after or 0)
    await reserve(parts, caller, tokens=800)


async def test_requests_at_once_cannot_all_take_the_last_token(chatbot: Chatbot) -> None:
    """Twenty requests at the same moment over a budget of one: exactly one is admitted."""
    await set_budget(chatbot, tokens_per_day=1)
    attempts = [reserve(chatbot.parts, caller_of(chatbot), tokens=500) for _ in range(20)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, BudgetSpent) for result in results) == 19
    assert await used(chatbot) == (1, 500)


async def test_requests_of_the_day_are_counted_too(chatbot: Chatbot) -> None:
    """The number of requests is bounded on its own, and an operator's default brings the quota back."""
    await set_budget(chatbot, requests_per_day=2)
    for _ in range(2):
        await reserve(chatbot.parts, caller_of(chatbot), tokens=0)
    with pytest.raises(BudgetSpent, match="2 of its 2 requests"):
        await reserve(chatbot.parts, caller_of(chatbot), tokens=0)
    await set_budget(chatbot, requests_per_day=None)
    await reserve(chatbot.parts, caller_of(chatbot), tokens=0)


async def test_a_budget_of_nothing_refuses_the_first_request(chatbot: Chatbot) -> None:
    """A quota of 0 is a quota, not the absence of one."""
    await set_budget(chatbot, tokens_per_day=0)
    with pytest.raises(BudgetSpent):
        await reserve(chatbot.parts, caller_of(chatbot), tokens=1)
    await set_budget(chatbot, requests_per_day=0)
    with pytest.raises(BudgetSpent):
        await reserve(chatbot.parts, caller_of(chatbot), tokens=0)


def test_what_is_kept_is_bounded_exactly() -> None:
    """The last document that fits is taken, the one after it is refused with the limit and the remedy."""
    limits = Limits(values={Quota.DOCUMENTS: 3})
    limits.check(Quota.DOCUMENTS, used=2, adding=1)
    with pytest.raises(QuotaReached, match="quota of 3") as refused:
        limits.check(Quota.DOCUMENTS, used=3, adding=1)
    assert "--documents" in refused.value.remedy
    assert limits.of(Quota.BYTES) == DEFAULTS[Quota.BYTES]


async def test_two_who_add_at_once_are_counted_one_after_the_other(chatbot: Chatbot) -> None:
    """While one counts what there is, the other waits: both cannot see room for the last one."""
    tenant_id = chatbot.tenants["acme"].tenant_id
    order: list[str] = []
    held, may_end = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with chatbot.parts.database.tenant(tenant_id) as conn:
            await hold_limits(conn, tenant_id)
            held.set()
            await may_end.wait()
            order.append("first")

    async def second() -> None:
        await held.wait()
        async with chatbot.parts.database.tenant(tenant_id) as conn:
            asyncio.get_running_loop().call_later(0.1, may_end.set)
            await hold_limits(conn, tenant_id)
            order.append("second")

    await asyncio.gather(first(), second())
    assert order == ["first", "second"]


async def test_what_was_set_aside_for_a_question_that_cannot_be_answered_comes_back(
    chatbot: Chatbot, groq: Upstream
) -> None:
    """Tokens are set aside while the passages are looked for; where that fails, they are there for the next question."""
    groq.rerank = "fail"
    await chatbot.admin("PUT", "/flags/rerank", {"enabled": True})
    assert (await chatbot.ask("When is a refund possible?"))[0] == 502
    assert await used(chatbot) == (1, 0)


async def test_a_question_that_no_model_is_asked_costs_no_token(chatbot: Chatbot, groq: Upstream) -> None:
    """Nothing in the documents fits: what was set aside meanwhile is given back with the answer."""
    _, events, _ = await chatbot.ask("Zanzibar?")
    assert (events[-1][1]["kind"], groq.asked) == ("not_in_documents", [])
    assert await used(chatbot) == (1, 0)


def test_what_is_set_aside_is_never_less_than_the_prompt() -> None:
    """The longest passages, with their titles and marks, fit into what is set aside before they are known."""
    long = Passage(
        tenant_id=TenantId(UUID(int=1)), passage_id=UUID(int=2), document_id=UUID(int=3),
        title="t" * 100, heading="h" * LONGEST_HEADING, text="x" * MOST_LETTERS,
    )  # fmt: skip
    turns = (Turn(question="And for shoes?", answer="Within 30 days."),)
    sent = prompt("When?", [long] * 8, turns=turns, mark="0" * 12)
    assert sum(tokens_of(message.content) for message in sent) + 100 <= most_tokens(
        "When?", turns=turns, passages=8, answer=100
    )


async def test_a_spent_budget_is_told_over_http_and_to_its_tenant_alone(chatbot: Chatbot) -> None:
    """A 429 that says when the budget begins anew; the other tenant is answered, and so is this one after midnight."""
    status, _ = await chatbot.admin("PUT", "/tenants/acme/quotas", {"tokens_per_day": 5})
    assert status == 200
    assert (await chatbot.ask("When is a refund possible?"))[0] == 200  # crosses the line
    async with chatbot.http.post(
        f"{chatbot.url}/api/chat",
        json={"message": "Within how many days is a refund possible?"},
        headers={"X-Api-Key": chatbot.keys["acme"]},
    ) as answer:
        problem = await answer.json(content_type="application/problem+json")
        wait = int(answer.headers["Retry-After"])
    assert (answer.status, problem["status"]) == (429, 429)
    assert problem["type"] == "urn:bitb-chatbot:problem:budget_spent"
    assert "of its 5 tokens of today" in problem["detail"]
    assert f"after midnight UTC, in {wait} s" in problem["remedy"]
    assert wait == pytest.approx(seconds_of_day_left(chatbot.parts.clocks.wall()), abs=5)
    question = "Within how many days is a refund possible?"
    assert (await chatbot.ask(question, tenant="globex"))[0] == 200
    chatbot.clock.fast_forward(wait)
    assert (await chatbot.ask(question))[0] == 200
