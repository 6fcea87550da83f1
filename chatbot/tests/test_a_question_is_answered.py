"""A question is answered from the tenant's own documents, streamed, with its sources first."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from chatbot_house import ChatbotHouse, answer_text

RETURNS = "How long can I return goods?"


async def test_the_answer_is_streamed_with_its_sources_first(chatbot: ChatbotHouse) -> None:
    """Sources come before the first word, and a citation that no source has is dropped."""
    status, events = await chatbot.ask("acme", RETURNS)
    assert status == 200
    assert events[0][0] == "sources"
    assert "30 days" in events[0][1][0]["text"]
    assert answer_text(events) == "Within 30 days [1]"
    assert events[-1] == ("done", {"by": "groq", "usage": {"pieces": 3}})


async def test_what_the_documents_do_not_hold_is_said_so(chatbot: ChatbotHouse) -> None:
    """Without a passage no model is asked."""
    _, events = await chatbot.ask("acme", "xylophone quixotic")
    assert events[-1][1]["by"] == "not_in_documents"
    assert chatbot.upstream.asked == []


async def test_when_groq_fails_openai_answers(chatbot: ChatbotHouse) -> None:
    """The reader notices nothing; the breaker counts the failure."""
    chatbot.upstream.chat = "fail"
    _, events = await chatbot.ask("acme", RETURNS)
    assert events[-1][1]["by"] == "openai"
    _, metrics = await chatbot.get("/metrics")
    assert 'circuit_breaker_failures_total{breaker="groq"}' in metrics


async def test_a_stream_that_breaks_is_begun_anew(chatbot: ChatbotHouse) -> None:
    """Half an answer is never glued to another one's half."""
    chatbot.upstream.chat = "break"
    _, events = await chatbot.ask("acme", RETURNS)
    assert answer_text(events) == "Within 30 days [1]"
    assert events[-1][1]["by"] == "openai"


async def test_without_any_key_the_passages_answer(urls: dict[str, str], tmp_path: Path) -> None:
    """The product works offline, and says that the words are the documents' own."""
    async with ChatbotHouse(urls, tmp_path, keys=False) as house:
        _, events = await house.ask("acme", RETURNS)
        assert "30 days" in answer_text(events)
        assert events[-1][1]["by"] == "passages"


async def test_a_failing_reranker_fails_the_chat_until_its_flag_is_off(chatbot: ChatbotHouse) -> None:
    """502 with a problem document and an ERROR line while the flag is on; an answer as soon as it is off."""
    await chatbot.admin("PUT", "/api/admin/flags/rerank", enabled=True)
    chatbot.upstream.rerank = "fail"
    status, events = await chatbot.ask("acme", RETURNS)
    assert status == 502
    assert events[0][1]["title"] == "The passages could not be ordered"
    line = json.loads((chatbot.folder / "logs" / "error.log").read_text().splitlines()[-1])
    assert (line["level"], line["event"]) == ("ERROR", "rerank_failed")
    _, metrics = await chatbot.get("/metrics")
    assert 'http_requests_total{method="POST",route="/api/chat",status="502"}' in metrics

    status, body = await chatbot.admin("PUT", "/api/admin/flags/rerank", enabled=False)
    assert (status, body["undo"]["body"]) == (200, {"enabled": True})
    status, _ = await chatbot.ask("acme", RETURNS)
    assert status == 200


async def test_two_hundred_streams_hold_no_connection(urls: dict[str, str], tmp_path: Path) -> None:
    """With a pool of 2, 200 readers of slow answers leave the database free for the next question."""
    async with ChatbotHouse(urls, tmp_path, pool_size=2) as house:
        house.upstream.hold = asyncio.Event()
        waiting = [asyncio.create_task(house.ask("acme", RETURNS)) for _ in range(200)]
        async with asyncio.timeout(30):
            while house.upstream.streaming < 200:
                assert not any(task.done() for task in waiting)
                await asyncio.sleep(0.05)
            status, _ = await house.get("/api/health/database")
        assert status == 200
        house.upstream.hold.set()
        answers = await asyncio.gather(*waiting)
        assert all(events[-1][1]["by"] == "groq" for _, events in answers)


async def test_a_reader_who_goes_away_costs_nothing_more(chatbot: ChatbotHouse) -> None:
    """A closed tab ends the request at the provider, and is no failure of the provider."""
    chatbot.upstream.hold = asyncio.Event()
    asking = asyncio.create_task(chatbot.ask("acme", RETURNS))
    async with asyncio.timeout(10):
        while not chatbot.upstream.streaming:
            await asyncio.sleep(0.01)
        asking.cancel()
        chatbot.upstream.hold.set()
        while chatbot.upstream.streaming:
            await asyncio.sleep(0.01)
    _, metrics = await chatbot.get("/metrics")
    assert 'circuit_breaker_state{breaker="groq",state="closed"} 1.0' in metrics


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 422),
        (b'{"message": ""}', 422),
        (b"not json", 422),
        (b'{"message": "' + b"a" * 70_000 + b'"}', 413),
    ],
)
async def test_what_is_no_question_is_refused_with_a_reason(
    chatbot: ChatbotHouse, body: bytes, status: int
) -> None:
    """A problem document, never a traceback."""
    headers = {"X-Api-Key": chatbot.tenant_keys["acme"], "Content-Type": "application/json"}
    async with chatbot.session.post(f"{chatbot.url}/api/chat", data=body, headers=headers) as response:
        problem = await response.json()
    assert response.status == status
    assert problem["title"]


async def test_a_wrong_key_is_refused_and_counted(chatbot: ChatbotHouse) -> None:
    """401, and one more failed attempt."""
    status, _ = await chatbot.ask("ck_wrong", "How long?")
    assert status == 401
    _, metrics = await chatbot.get("/metrics")
    assert 'auth_attempts_total{ip="other",status="failed",tenant_id="unknown"}' in metrics
