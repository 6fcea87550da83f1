"""Two tenants over HTTP. What the database itself keeps apart: test_isolation_is_generated_from_the_catalogue.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from chatbot_house import Chatbot


async def test_two_tenants_get_their_own_answers(chatbot: Chatbot) -> None:
    """The same question of acme and globex is answered from each one's own document."""
    for tenant, days in (("acme", "30 days"), ("globex", "14 days")):
        _, events, _ = await chatbot.ask("When is a refund possible?", tenant=tenant)
        sources = events[0][1]["sources"]
        assert [days in source["text"] for source in sources] == [True]


async def test_a_conversation_of_another_tenant_is_not_found(chatbot: Chatbot) -> None:
    """Globex cannot continue, or learn of, a conversation of acme."""
    _, events, _ = await chatbot.ask("When is a refund possible?")
    conversation = events[-1][1]["conversation_id"]
    assert (await chatbot.ask("And then?", conversation_id=conversation))[0] == 200
    status, _, problem = await chatbot.ask("And then?", tenant="globex", conversation_id=conversation)
    unknown = await chatbot.ask("And then?", tenant="globex", conversation_id=str(uuid4()))
    assert status == 404
    assert problem["type"] == unknown[2]["type"]


async def test_a_key_does_not_open_a_tenant_that_the_body_names(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Acme's key with globex in the body is refused and audited."""
    assert (await chatbot.ask("When is a refund possible?", tenant="globex"))[0] == 200
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    body = {"message": "When is a refund possible?", "tenant": "globex"}
    async with chatbot.http.post(f"{chatbot.url}/api/chat", json=body, headers=headers) as answer:
        assert answer.status == 403
    assert audit_rows("tenant_mismatch")[0][2] == {"claimed": "globex"}
