"""A question goes on with what was said before, within a budget, and never with what somebody else said."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from uuid import uuid4

from chatbot.core.answers import Kind, Usage
from chatbot.core.history import Turn, tokens_of, within
from chatbot.core.quotas import day_of
from chatbot.core.tenancy import PREFIX_BYTES, SECRET_BYTES, api_key
from chatbot.store.api_keys import add_key
from chatbot.store.conversations import Exchange, Kept, keep_exchanges, messages_of
from chatbot.store.usage import usage_on
from chatbot_house import Chatbot, Upstream

QUESTION = "When is a refund possible?"


async def another_key(chatbot: Chatbot, tenant: str = "acme") -> str:
    """A second key of the tenant."""
    key = api_key(secrets.token_bytes(PREFIX_BYTES + SECRET_BYTES))
    tenant_id = chatbot.tenants[tenant].tenant_id
    async with chatbot.parts.database.tenant(tenant_id) as conn:
        await add_key(conn, tenant_id, key, name="second", by="test", expires_at=None)
    return key.text


async def begun(chatbot: Chatbot, **how: Any) -> str:
    """A conversation with one exchange: its id."""
    _, events, _ = await chatbot.ask(QUESTION, **how)
    return str(events[-1][1]["conversation_id"])


async def test_the_model_is_given_what_was_said(chatbot: Chatbot, groq: Upstream) -> None:
    """The second question carries the first with its answer, in their order, before the passages."""
    conversation = await begun(chatbot)
    await chatbot.ask("And how long is that for shoes?", conversation_id=conversation)
    messages = groq.asked[-1]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert [message["content"] for message in messages[1:3]] == [QUESTION, "Within 30 days [1]."]
    assert "for shoes?" in messages[3]["content"]


async def test_a_question_that_goes_on_is_looked_up_with_the_one_before(chatbot: Chatbot) -> None:
    """ "And for shoes?" alone matches nothing; after a question about refunds it finds the refunds."""
    assert (await chatbot.ask("And for shoes?"))[1][-1][1]["kind"] == "not_in_documents"
    conversation = await begun(chatbot)
    _, events, _ = await chatbot.ask("And for shoes?", conversation_id=conversation)
    assert events[-1][1]["kind"] == "generated"


async def test_a_conversation_deleted_meanwhile_keeps_nothing_and_harms_nobody(
    chatbot: Chatbot, groq: Upstream
) -> None:
    """The answer stands, without a conversation; the one that ends at the same moment is kept."""
    gone = await begun(chatbot)
    groq.mode = "hold"
    going_on = asyncio.create_task(chatbot.ask("And how long is that for shoes?", conversation_id=gone))
    beginning = asyncio.create_task(chatbot.ask("Until when is a refund possible?"))
    while len(groq.asked) < 3:
        await asyncio.sleep(0.01)
    async with chatbot.http.delete(
        f"{chatbot.url}/api/conversations/{gone}", headers={"X-Api-Key": chatbot.keys["acme"]}
    ) as answer:
        assert answer.status in {200, 204}
    groq.release.set()
    (_, left, _), (_, kept, _) = await going_on, await beginning
    assert (left[-1][1]["kind"], left[-1][1]["conversation_id"]) == ("generated", None)
    assert kept[-1][1]["conversation_id"]


async def test_an_exchange_sent_twice_is_kept_and_counted_once(chatbot: Chatbot) -> None:
    """A connection that breaks after the commit makes it be sent again: one question, one answer, one cost."""
    tenant_id, database = chatbot.tenants["acme"].tenant_id, chatbot.parts.database
    usage = Usage(prompt_tokens=40, completion_tokens=2, estimated=False)
    exchange = Exchange(question=QUESTION, answer="30 days.", kind=Kind.GENERATED, usage=usage, sources=())
    day = day_of(chatbot.parts.clocks.wall())
    new = Kept(conversation_id=uuid4(), owner="key x", exchange=exchange, requests=1, tokens=42)
    further = Kept(conversation_id=new.conversation_id, owner=None, exchange=exchange, requests=1, tokens=42)
    for kept in (new, new, further, further):
        assert await keep_exchanges(database, tenant_id, [kept], day=day) == {new.conversation_id}
    async with database.tenant(tenant_id) as conn:
        messages = await messages_of(conn, tenant_id, new.conversation_id)
        used = await usage_on(conn, tenant_id, day)
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2
    assert (used.requests, used.tokens) == (2, 84)


def test_older_turns_are_dropped_whole_and_the_newest_stay() -> None:
    """A turn that does not fit is left out with all before it, so that nothing answers a question that is not there."""
    turns = [Turn(question=f"question {n}", answer="x" * 300) for n in range(10)]
    cost = tokens_of(turns[0].question) + tokens_of(turns[0].answer)
    assert within(turns, budget=3 * cost) == tuple(turns[-3:])
    long = Turn(question="long", answer="x" * 10_000)
    assert within([turns[0], long, turns[1]], budget=3 * cost) == (turns[1],)
    assert within([long], budget=cost) == ()


async def test_nobody_goes_on_with_or_reads_what_another_began(chatbot: Chatbot, groq: Upstream) -> None:
    """Not another tenant, not another key of the same tenant: for them it is not there, and it stays as it is."""
    conversation = await begun(chatbot)
    other = await another_key(chatbot)
    path = f"/api/conversations/{conversation}"
    for key in (other, chatbot.keys["globex"]):
        asked = len(groq.asked)
        body = {"message": "And then?", "conversation_id": conversation}
        assert (await chatbot.call("POST", "/api/chat", key=key, body=body))[0] == 404
        assert len(groq.asked) == asked
        for method in ("GET", "DELETE"):
            assert (await chatbot.call(method, path, key=key))[0] == 404
        assert (await chatbot.call("GET", "/api/conversations", key=key))[1] == {"conversations": []}
        assert (await chatbot.call("DELETE", "/api/conversations", key=key))[1] == {"deleted": 0}
    assert len((await chatbot.call("GET", path))[1]["messages"]) == 2


async def test_a_conversation_is_listed_shown_and_deleted(chatbot: Chatbot) -> None:
    """Shown with what each answer could cite; deleted, it is gone for whoever began it too."""
    conversation = await begun(chatbot)
    second = await begun(chatbot)
    _, listed = await chatbot.call("GET", "/api/conversations")
    assert [each["id"] for each in listed["conversations"]] == [second, conversation]
    assert listed["conversations"][0]["question"] == QUESTION
    _, shown = await chatbot.call("GET", f"/api/conversations/{conversation}")
    question, answer = shown["messages"]
    assert (question["role"], question["content"], question["sources"]) == ("user", QUESTION, [])
    assert (answer["kind"], answer["sources"][0]["number"], answer["sources"][0]["title"]) == (
        "generated",
        1,
        "policy.md",
    )
    assert (await chatbot.call("DELETE", f"/api/conversations/{conversation}"))[1] == {"deleted": 1}
    assert (await chatbot.call("GET", f"/api/conversations/{conversation}"))[0] == 404
    assert (await chatbot.call("DELETE", "/api/conversations"))[1] == {"deleted": 1}


async def test_without_a_key_there_are_no_conversations(chatbot: Chatbot) -> None:
    """Nobody's are shown to nobody."""
    async with chatbot.http.get(f"{chatbot.url}/api/conversations") as answer:
        assert answer.status == 401
