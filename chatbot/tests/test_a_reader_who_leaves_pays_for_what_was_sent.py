"""A reader who leaves early: the provider bills the prompt once it has taken it, so that is what the tenant is charged."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from starlette.types import Message

from chatbot.core.history import tokens_of
from chatbot.core.quotas import day_of
from chatbot.store.usage import usage_on
from chatbot.web.app import create_app
from chatbot.web.drain import Drain
from chatbot_house import ADMIN_TOKEN, Chatbot, Upstream

QUESTION = "When is a refund possible?"


async def used_today(chatbot: Chatbot) -> tuple[int, int]:
    """Requests and tokens of acme."""
    tenant_id = chatbot.tenants["acme"].tenant_id
    async with chatbot.parts.database.tenant(tenant_id) as conn:
        used = await usage_on(conn, tenant_id, day_of(chatbot.parts.clocks.wall()))
    return used.requests, used.tokens


async def leave_before_the_first_token(chatbot: Chatbot, groq: Upstream) -> int:
    """Asks and goes away while the provider is still silent; the tokens that were set aside."""
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    body = {"message": QUESTION}
    async with chatbot.http.post(f"{chatbot.url}/api/chat", json=body, headers=headers) as answer:
        assert b"event: sources" in await answer.content.readuntil(b"\n\n")
        while not groq.asked:
            await asyncio.sleep(0.01)
        if groq.mode == "think":
            await groq.accepted.wait()
            await asyncio.sleep(0.1)  # until its head has been read here too
        _, reserved = await used_today(chatbot)
        answer.close()
    await groq.gone.wait()
    return reserved


@pytest.mark.parametrize("mode", ["think", "deaf"])
async def test_whoever_leaves_before_the_first_token_pays_for_a_prompt_that_was_taken(
    chatbot: Chatbot, groq: Upstream, mode: str
) -> None:
    """The prompt if the provider had taken the request, nothing if it had not; the rest of the reservation comes back."""
    groq.mode = mode
    async with asyncio.timeout(10):
        reserved = await leave_before_the_first_token(chatbot, groq)
        sent = sum(tokens_of(message["content"]) for message in groq.asked[0]["messages"])
        charged = sent if mode == "think" else 0
        assert 0 < sent < reserved
        while (used := await used_today(chatbot)) != (1, charged) and used[1] == reserved:
            await asyncio.sleep(0.02)
    assert used == (1, charged)


async def test_a_provider_that_fails_before_its_first_token_costs_nothing(
    chatbot: Chatbot, groq: Upstream, openai: Upstream
) -> None:
    """It broke its word, not the reader: what it had taken is not charged, and the passages are quoted for nothing."""
    groq.mode = openai.mode = "error"
    groq.tokens, openai.tokens = ["", ""], ["", ""]
    _, events, _ = await chatbot.ask(QUESTION)
    assert events[-1][1]["kind"] == "extractive"
    assert await used_today(chatbot) == (1, 0)


async def test_whoever_leaves_before_the_first_event_gets_the_whole_reservation_back(
    chatbot: Chatbot, groq: Upstream
) -> None:
    """The tokens were set aside and the client is gone before a byte could be sent: nothing waits for midnight."""
    app = create_app(chatbot.parts, admin_token=ADMIN_TOKEN, drain=Drain(timedelta(seconds=1)))
    body = json.dumps({"message": QUESTION}).encode()
    coming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    set_aside: list[tuple[int, int]] = []

    async def receive() -> Message:
        if coming:
            return coming.pop()
        set_aside.append(await used_today(chatbot))
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        await asyncio.Event().wait()  # the wire takes nothing any more

    async with asyncio.timeout(10):
        await app(_scope(chatbot.keys["acme"]), receive, send)
    (reserved,) = set_aside
    assert reserved[0] == 1
    assert reserved[1] > 0
    assert await used_today(chatbot) == (1, 0)
    assert groq.asked == []


def _scope(key: str) -> dict[str, Any]:
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"x-api-key", key.encode())]
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/api/chat", "raw_path": b"/api/chat", "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
