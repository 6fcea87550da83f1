"""A question, the whole way, and what happens when a provider or the client goes away."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from chatbot.core.breaker import State
from chatbot_house import Chatbot, Upstream, served, settings_for, text_of

QUESTION = "When is a refund possible?"


async def test_sources_then_tokens_then_done(chatbot: Chatbot, groq: Upstream) -> None:
    """The sources come first, the answer in pieces, the end last; and the model was given the passage."""
    status, events, _ = await chatbot.ask(QUESTION, tenant="acme")
    assert (status, [name for name, _ in events]) == (200, ["sources", "token", "token", "token", "done"])
    assert text_of(events) == "Within 30 days [1]."
    assert (events[-1][1]["kind"], events[-1][1]["provider"]) == ("generated", "groq")
    assert "A refund at acme is possible within 30 days." in groq.asked[0]["messages"][1]["content"]


async def test_what_is_kept_is_what_was_streamed(chatbot: Chatbot, superuser_url: str) -> None:
    """The stored answer equals the streamed one, with its sources."""
    _, events, _ = await chatbot.ask(QUESTION)
    with psycopg.connect(superuser_url) as conn:
        rows = conn.execute("SELECT role, content, sources FROM messages ORDER BY created_at").fetchall()
    assert rows[0][:2] == ("user", QUESTION)
    assert rows[1] == ("assistant", text_of(events), [source["id"] for source in events[0][1]["sources"]])


async def test_what_the_documents_do_not_hold_is_not_asked_of_a_model(
    chatbot: Chatbot, groq: Upstream
) -> None:
    """Without a passage no model is asked: it would answer from memory."""
    _, events, _ = await chatbot.ask("quantum chromodynamics")
    assert events[-1][1]["kind"] == "not_in_documents"
    assert groq.asked == []


@pytest.mark.parametrize(("mode", "attempts"), [("500", 2), ("429", 1), ("401", 1)])
async def test_a_failing_provider_is_replaced_before_the_first_token(
    chatbot: Chatbot, groq: Upstream, mode: str, attempts: int
) -> None:
    """When Groq fails, OpenAI answers, and each failed attempt counts against Groq."""
    before = await chatbot.metric('circuit_breaker_failures_total{breaker="groq"}')
    groq.mode = mode
    _, events, _ = await chatbot.ask(QUESTION)
    assert (events[-1][1]["kind"], events[-1][1]["provider"]) == ("fallback", "openai")
    assert await chatbot.metric('circuit_breaker_failures_total{breaker="groq"}') == before + attempts


async def test_with_every_provider_down_the_passages_are_quoted(
    chatbot: Chatbot, groq: Upstream, openai: Upstream
) -> None:
    """The last resort is honest: sentences of the passages, marked as such."""
    groq.mode = openai.mode = "503"
    _, events, _ = await chatbot.ask(QUESTION)
    assert events[-1][1]["kind"] == "extractive"
    assert text_of(events).startswith("Quoted from your documents")
    assert "within 30 days" in text_of(events)


async def test_it_works_without_any_key(app_url: str, valkey_url: str) -> None:
    """Without a provider's key the passages are quoted, so the product works offline."""
    async with served(settings_for(app_url, valkey_url)) as chatbot:
        _, events, _ = await chatbot.ask(QUESTION)
    assert events[-1][1]["kind"] == "extractive"


@pytest.mark.parametrize("mode", ["break", "error"])
async def test_a_break_in_the_middle_is_told(
    chatbot: Chatbot, groq: Upstream, openai: Upstream, mode: str
) -> None:
    """Once a token was given out no other provider goes on: the answer ends as incomplete."""
    groq.mode = mode
    _, events, _ = await chatbot.ask(QUESTION)
    assert [name for name, _ in events] == ["sources", "token", "error", "done"]
    assert events[-1][1]["kind"] == "incomplete"
    assert openai.asked == []


async def test_an_outage_opens_the_breaker_and_time_closes_it(chatbot: Chatbot, groq: Upstream) -> None:
    """After a few failures Groq is not asked any more; ten seconds later probes are, and it closes."""
    groq.mode = "500"
    for _ in range(8):
        await chatbot.ask(QUESTION)
    assert len(groq.asked) == 5
    assert await chatbot.metric('circuit_breaker_state{breaker="groq",state="open"}') == 1
    groq.mode = "ok"
    chatbot.clock.fast_forward(11)
    for _ in range(2):
        _, events, _ = await chatbot.ask(QUESTION)
    assert events[-1][1]["provider"] == "groq"
    assert await chatbot.metric('circuit_breaker_state{breaker="groq",state="closed"}') == 1


async def test_a_request_that_is_refused_does_not_count_against_the_provider(
    chatbot: Chatbot, groq: Upstream
) -> None:
    """A 400 is the request's fault: the breaker ignores any number of them."""
    groq.mode = "400"
    for _ in range(8):
        await chatbot.ask(QUESTION)
    assert len(groq.asked) == 8
    assert chatbot.parts.providers[0].breaker.state is State.CLOSED


async def test_a_closed_tab_cancels_upstream_and_counts_nothing(chatbot: Chatbot, groq: Upstream) -> None:
    """When the client leaves, the provider's connection is closed at once, and the breaker is told nothing."""
    groq.mode = "hold"
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    async with chatbot.http.post(
        f"{chatbot.url}/api/chat", json={"message": QUESTION}, headers=headers
    ) as answer:
        while b"event: token" not in await answer.content.readuntil(b"\n\n"):
            pass
    answer.close()
    async with asyncio.timeout(5):
        await groq.gone.wait()
    assert chatbot.parts.providers[0].breaker.counts(0) == (0, 0)


async def test_no_connection_is_held_while_streaming(chatbot: Chatbot, groq: Upstream) -> None:
    """With a pool of two connections, two hundred answers flow at once and the database still answers."""
    groq.mode = "hold"
    headers = {"X-Api-Key": chatbot.keys["acme"]}

    async def ask() -> str:
        body = {"message": QUESTION}
        async with chatbot.http.post(f"{chatbot.url}/api/chat", json=body, headers=headers) as answer:
            return await answer.text()

    streams = [asyncio.create_task(ask()) for _ in range(200)]
    async with asyncio.timeout(60):
        while len(groq.asked) < 200:
            await asyncio.sleep(0.02)
        assert chatbot.parts.database.use().in_use == 0
        assert (await chatbot.get("/api/health/database"))[1]["status"] == "ok"
        groq.release.set()
        answers = await asyncio.gather(*streams)
    assert all("event: done" in text for text in answers)


async def test_the_reranker_orders_the_sources(chatbot: Chatbot) -> None:
    """With the flag on, the sources come in the reranker's order."""
    await chatbot.admin("PUT", "/flags/rerank", {"enabled": True})
    status, events, _ = await chatbot.ask(QUESTION)
    assert (status, len(events[0][1]["sources"])) == (200, 1)


@pytest.mark.parametrize("fault", ["fail", "foreign"])
async def test_a_failing_reranker_is_told_before_the_answer_begins(
    chatbot: Chatbot, groq: Upstream, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the flag on and the reranker failing: 502 with a remedy, counted; with the flag off again, answers."""
    groq.rerank = fault
    sample = 'http_requests_total{method="POST",route="/api/chat",status="502"}'
    before = await chatbot.metric(sample)
    await chatbot.admin("PUT", "/flags/rerank", {"enabled": True})
    status, _, problem = await chatbot.ask(QUESTION)
    assert (status, problem["type"]) == (502, "urn:bitb-chatbot:problem:rerank_failed")
    assert "rerank" in problem["remedy"]
    assert await chatbot.metric(sample) == before + 1
    await chatbot.admin("PUT", "/flags/rerank", {"enabled": False})
    assert (await chatbot.ask(QUESTION))[0] == 200


BAD: dict[str, tuple[Any, int]] = {
    "not an object": ([1], 400),
    "no message": ({}, 400),
    "an empty message": ({"message": " "}, 400),
    "a number": ({"message": 1}, 400),
    "a zero byte": ({"message": "a\x00b"}, 400),
    "a zero byte in the tenant": ({"message": "x", "tenant": "a\x00"}, 400),
    "half a character": ({"message": "\ud800"}, 400),
    "an unknown field": ({"message": "x", "tenant_id": "y"}, 400),
    "too long a message": ({"message": "x" * 5000}, 400),
    "too large a body": ({"message": "x" * 100_000}, 413),
    "no uuid": ({"message": "x", "conversation_id": "1"}, 400),
}


@pytest.mark.parametrize("what", BAD)
async def test_bad_input_gets_a_problem_document_with_a_remedy(chatbot: Chatbot, what: str) -> None:
    """Whatever is wrong with the body, the answer says what and what to do."""
    body, expected = BAD[what]
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    async with chatbot.http.post(f"{chatbot.url}/api/chat", json=body, headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert answer.status == problem["status"] == expected
    assert all(problem[part] for part in ("type", "title", "detail", "remedy", "request_id"))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_body_that_grows_past_the_limit_is_cut_off(chatbot: Chatbot) -> None:
    """A body without a length is bounded as well."""

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    async with chatbot.http.post(f"{chatbot.url}/api/chat", data=endless()) as answer:
        assert answer.status == 413


async def test_the_flag_groq_sends_questions_to_the_fallback(
    chatbot: Chatbot, groq: Upstream, openai: Upstream
) -> None:
    """The runbook's remedy: switched off, Groq is not asked at all, and the answer says that it is the fallback's."""
    await chatbot.admin("PUT", "/flags/groq", {"enabled": False})
    _, events, _ = await chatbot.ask("How long for a refund?")
    assert (len(groq.asked), len(openai.asked)) == (0, 1)
    assert next(data for name, data in events if name == "done")["kind"] == "fallback"
