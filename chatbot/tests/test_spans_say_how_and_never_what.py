"""Spans of an answer: what took how long, by whom, for how many tokens; never what was asked or answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN, StatusCode

from chatbot.config import ProviderSettings
from chatbot.stages.trace import CANCELLED
from chatbot_house import Chatbot, Upstream, served, settings_for

QUESTION = "When is a refund possible?"
Spans = Callable[[], dict[str, ReadableSpan]]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def chatbot(
    app_url: str, valkey_url: str, groq: Upstream, exporter: InMemorySpanExporter
) -> AsyncGenerator[Chatbot]:
    """A chatbot whose spans are kept in memory."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    groq_settings = ProviderSettings(name="groq", base_url=groq.url, api_key="k", model="m")
    settings = settings_for(app_url, valkey_url, providers=(groq_settings,), rerank_url=f"{groq.url}/rerank")
    async with served(settings, tracer=provider.get_tracer("test")) as running:
        yield running
    provider.shutdown()


async def ended(exporter: InMemorySpanExporter, name: str) -> dict[str, ReadableSpan]:
    """The spans that have ended, by name, once the named one has."""
    async with asyncio.timeout(5):
        while name not in (found := {span.name: span for span in exporter.get_finished_spans()}):
            await asyncio.sleep(0.01)
    return found


async def test_each_part_of_an_answer_has_its_span(
    chatbot: Chatbot, groq: Upstream, exporter: InMemorySpanExporter
) -> None:
    """Retrieval, rerank and generation below the answer, with provider, model, tokens and the first token's time."""
    groq.usage = {"prompt_tokens": 90, "completion_tokens": 10}
    await chatbot.admin("PUT", "/flags/rerank", {"enabled": True})
    await chatbot.ask(QUESTION)
    spans = await ended(exporter, "answer")
    assert set(spans) == {"answer", "retrieve", "rerank", "generate"}
    whole = spans["answer"].context
    assert {spans[name].parent.span_id for name in ("retrieve", "rerank", "generate")} == {whole.span_id}
    said = spans["generate"].attributes
    assert (said["gen_ai.provider.name"], said["gen_ai.request.model"]) == ("groq", "m")
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (90, 10)
    assert 0 < said["chatbot.first_token_seconds"] < 5
    assert spans["answer"].attributes["chatbot.kind"] == "generated"
    assert spans["answer"].end_time >= spans["generate"].end_time


async def test_a_closed_tab_ends_the_spans(
    chatbot: Chatbot, groq: Upstream, exporter: InMemorySpanExporter
) -> None:
    """Cancelled is said, and it is no error."""
    groq.mode = "hold"
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    body = {"message": QUESTION}
    async with chatbot.http.post(f"{chatbot.url}/api/chat", json=body, headers=headers) as answer:
        while b"event: token" not in await answer.content.readuntil(b"\n\n"):
            pass
        answer.close()
    spans = await ended(exporter, "answer")
    for name in ("generate", "answer"):
        assert spans[name].attributes[CANCELLED] is True
        assert spans[name].status.status_code is StatusCode.UNSET


async def test_a_failed_attempt_is_an_error_without_its_text(
    chatbot: Chatbot, groq: Upstream, exporter: InMemorySpanExporter
) -> None:
    """The kind of the error only: a provider's refusal may quote the question."""
    groq.mode = "401"
    await chatbot.ask(QUESTION)
    failed = (await ended(exporter, "answer"))["generate"]
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "ProviderUnavailable")
    assert failed.events == ()


async def test_a_refusal_ends_the_span_too(chatbot: Chatbot, exporter: InMemorySpanExporter) -> None:
    """What is refused before the answer begins leaves no span open."""
    body = "00000000-0000-0000-0000-000000000001"
    await chatbot.ask(QUESTION, conversation_id=body)
    spans = await ended(exporter, "answer")
    assert spans["answer"].status.description == "NotFound"


async def test_no_word_of_anybody_is_in_a_span(
    chatbot: Chatbot, groq: Upstream, exporter: InMemorySpanExporter
) -> None:
    """Question, passage and answer are in no name, attribute, event or status."""
    groq.tokens = ["An answer of unmistakable words"]
    await chatbot.ask("When is a refund possible, zanzibar?")
    await ended(exporter, "answer")
    everything = "".join(span.to_json() for span in exporter.get_finished_spans()).lower()
    for word in ("zanzibar", "refund", "unmistakable", "30 days", "policy.md"):
        assert word not in everything


async def test_without_an_endpoint_spans_are_nothing(app_url: str, valkey_url: str) -> None:
    """Off, each span is the one that does not exist."""
    async with served(settings_for(app_url, valkey_url)) as chatbot:
        assert chatbot.parts.tracer.start_span("x") is INVALID_SPAN


async def test_with_an_endpoint_they_are_sent_there(app_url: str, valkey_url: str) -> None:
    """By OTLP over HTTP, at the latest when the server ends."""
    received: list[tuple[str, str, bool]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        received.append((head.split(" ")[1], head.lower(), b"retrieve" in body))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    collector = await asyncio.start_server(take, "127.0.0.1", 0)
    port = collector.sockets[0].getsockname()[1]
    async with collector:
        settings = settings_for(app_url, valkey_url, traces_url=f"http://127.0.0.1:{port}")
        async with served(settings) as chatbot:
            await chatbot.ask(QUESTION)
    assert received[0][0] == "/v1/traces"
    assert any(holds for _, _, holds in received)
