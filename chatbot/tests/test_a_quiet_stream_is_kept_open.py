"""Proxies close what is silent: while a model thinks, the reader is sent a comment now and then."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from chatbot.web import event_stream
from chatbot_house import Chatbot, Upstream, events_of

QUESTION = "When is a refund possible?"
STILL_HERE = b": still here\n\n"


async def test_comments_keep_a_silent_answer_open_and_are_no_events(
    chatbot: Chatbot, groq: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several while the model thinks, none of them an event, none once tokens flow; and the answer is whole."""
    monkeypatch.setattr(event_stream, "KEEP_ALIVE", timedelta(milliseconds=30))
    groq.mode = "think"
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    async with (
        asyncio.timeout(10),
        chatbot.http.post(f"{chatbot.url}/api/chat", json={"message": QUESTION}, headers=headers) as answer,
    ):
        parts = [await answer.content.readuntil(b"\n\n") for _ in range(4)]
        groq.release.set()
        rest = await answer.content.read()
    assert parts[0].startswith(b"event: sources")
    assert parts[1:] == [STILL_HERE] * 3
    assert [name for name, _ in events_of(rest.decode())] == ["token", "token", "token", "done"]


async def test_an_answer_that_flows_has_no_comments(chatbot: Chatbot) -> None:
    """Fifteen seconds are far longer than an answer that does not stop."""
    assert timedelta(seconds=10) < event_stream.KEEP_ALIVE < timedelta(seconds=30)
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    async with chatbot.http.post(
        f"{chatbot.url}/api/chat", json={"message": QUESTION}, headers=headers
    ) as answer:
        assert b": " + b"still" not in await answer.read()
