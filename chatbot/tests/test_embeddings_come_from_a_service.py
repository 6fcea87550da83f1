"""The client of a service's `/embeddings`, at the wire; and that documents and questions outlive its outages."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from chatbot.config import EmbeddingSettings
from chatbot.core.documents import MOST_ATTEMPTS, Event, Status
from chatbot.core.passages import DIMENSIONS
from chatbot.errors import ConfigError, EmbeddingFailed
from chatbot.integrations.embeddings import EmbeddingEndpoint, RemoteEmbedder
from chatbot.integrations.session import new_session
from chatbot.stages import retrieve
from chatbot.stages.ingest import ingest
from chatbot.stages.ports import now_of
from chatbot.stages.upload import upload
from chatbot.store.documents import document_of, due_revisions
from chatbot_house import Chatbot, free_port, served, settings_for, text_of

MODEL = "a-model-of-the-tests"


@dataclass
class Service:
    """Gives each text a vector that tells its length, in an order of its own. What it does next is `mode`."""

    url: str = ""
    mode: str = "ok"
    retry_after: str | None = None
    dimensions: int = DIMENSIONS
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorization: list[str | None] = field(default_factory=list)

    async def embed(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        self.authorization.append(request.headers.get("Authorization"))
        if self.mode.isdecimal():
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.Response(status=int(self.mode), text="too busy", headers=headers)
        if self.mode == "silent":
            await asyncio.Event().wait()
        if self.mode in BROKEN:
            return web.Response(body=BROKEN[self.mode].encode())
        data = [{"index": index, "embedding": self.vector(text)} for index, text in enumerate(body["input"])]
        return web.json_response({"data": data[::-1]})

    def vector(self, text: str) -> list[float]:
        """Two directions, of any length: a client has to make it one."""
        return [3.0, 0.01 * len(text), *[0.0] * (self.dimensions - 2)]


BROKEN = {
    "a page": "<html>",
    "no vectors": '{"data": []}',
    "no data": "{}",
    "no numbers": '{"data": [{"index": 0, "embedding": ["x"]}]}',
    "no direction": json.dumps({"data": [{"index": 0, "embedding": [0.0] * DIMENSIONS}]}),
    "not finite": json.dumps({"data": [{"index": 0, "embedding": [math.inf] * DIMENSIONS}]}),
}


@pytest.fixture
async def service() -> AsyncGenerator[Service]:
    service = Service()
    app = web.Application(client_max_size=10_000_000)
    app.router.add_post("/v1/embeddings", service.embed)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    service.url = f"http://127.0.0.1:{port}/v1"
    yield service
    await runner.cleanup()


@pytest.fixture
async def embedder(service: Service) -> AsyncGenerator[RemoteEmbedder]:
    endpoint = EmbeddingEndpoint(base_url=service.url, api_key="a-key-of-the-tests", model=MODEL)
    async with new_session() as session:
        yield RemoteEmbedder(session, endpoint, timeout=timedelta(seconds=0.3))


@pytest.fixture
async def chatbot(app_url: str, valkey_url: str, service: Service) -> AsyncGenerator[Chatbot]:
    """One whose questions and documents are embedded by the service."""
    embeddings = EmbeddingSettings(base_url=service.url, api_key="", model=MODEL)
    async with served(settings_for(app_url, valkey_url, embeddings=embeddings)) as running:
        yield running


async def test_many_texts_are_asked_for_in_batches_and_come_back_in_their_order(
    embedder: RemoteEmbedder, service: Service
) -> None:
    """However the service orders them; with the model, the dimensions and the key; and each vector has length one."""
    texts = ["x" * (length + 1) for length in range(130)]
    vectors = await embedder.embed(texts)
    assert [len(asked["input"]) for asked in service.asked] == [64, 64, 2]
    assert {(asked["model"], asked["dimensions"]) for asked in service.asked} == {(MODEL, DIMENSIONS)}
    assert set(service.authorization) == {"Bearer a-key-of-the-tests"}
    assert [round(vector[1] / vector[0] * 300) for vector in vectors] == [len(text) for text in texts]
    assert all(math.hypot(*vector) == pytest.approx(1) for vector in vectors)


async def test_a_busy_service_says_when_to_come_back(embedder: RemoteEmbedder, service: Service) -> None:
    """What it answered, and after how many seconds it may be asked again."""
    service.mode, service.retry_after = "429", "7"
    with pytest.raises(EmbeddingFailed, match="answered 429: too busy") as refused:
        await embedder.embed(["a text"])
    assert refused.value.after == 7


async def test_a_silent_service_is_given_up(embedder: RemoteEmbedder, service: Service) -> None:
    """After the time limit, which the error names."""
    service.mode = "silent"
    with pytest.raises(EmbeddingFailed, match=r"within 0\.3 s"):
        await embedder.embed(["a text"])


async def test_a_service_that_is_not_there_is_named(service: Service) -> None:
    """Nothing listens."""
    endpoint = EmbeddingEndpoint(base_url=f"http://127.0.0.1:{free_port()}/v1", api_key="", model=MODEL)
    async with new_session() as session:
        with pytest.raises(EmbeddingFailed, match="cannot be reached"):
            await RemoteEmbedder(session, endpoint).embed(["a text"])
    assert service.asked == []


@pytest.mark.parametrize("mode", BROKEN)
async def test_an_answer_that_is_none_is_never_taken_for_vectors(
    embedder: RemoteEmbedder, service: Service, mode: str
) -> None:
    """A page of a proxy, too few vectors, one without a direction: an error that says so."""
    service.mode = mode
    with pytest.raises(EmbeddingFailed):
        await embedder.embed(["a text"])


async def test_a_model_of_other_dimensions_is_refused_with_the_setting(
    embedder: RemoteEmbedder, service: Service
) -> None:
    """Both numbers, and what to set."""
    service.dimensions = 1536
    with pytest.raises(ConfigError, match=r"1536 dimensions; the database holds 384") as refused:
        await embedder.embed(["a text"])
    assert "CHATBOT_EMBEDDINGS_MODEL" in refused.value.remedy


async def test_a_document_waits_out_an_outage_however_long(chatbot: Chatbot, service: Service) -> None:
    """It is tried again later and later, not before the service allows, never fails for it, and is ready in the end."""
    acme, parts = chatbot.tenants["acme"], chatbot.parts
    ref = await upload(
        parts.database, parts.clocks, acme, title="hours.md", parts=[b"# Hours\n\nFrom nine to five."],
        media_type=None, actor="test",
    )  # fmt: skip

    async def shown() -> tuple[Status, str | None]:
        async with parts.database.tenant(acme.tenant_id) as conn:
            document = await document_of(conn, acme.tenant_id, ref.document_id)
        assert document is not None
        return document.status, document.reason

    async def due() -> int:
        async with parts.database.system() as conn:
            return len(await due_revisions(conn, now_of(parts.clocks), most=10))

    service.mode, service.retry_after = "429", "40"
    assert await ingest(parts, ref) is Event.RETRY
    chatbot.clock.fast_forward(39)
    assert await due() == 0
    chatbot.clock.fast_forward(2)
    assert await due() == 1
    service.mode = "503"
    for _ in range(MOST_ATTEMPTS + 2):
        assert await ingest(parts, ref) is Event.RETRY
        chatbot.clock.fast_forward(301)
    assert (await shown())[0] is Status.QUEUED
    assert "answered 503" in ((await shown())[1] or "")
    service.mode = "ok"
    assert await ingest(parts, ref) is Event.EMBEDDED
    assert await shown() == (Status.READY, None)


@pytest.mark.parametrize("mode", ["503", "silent"])
async def test_a_question_is_answered_by_its_words_meanwhile(
    chatbot: Chatbot, service: Service, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without vectors the full-text search finds the passage; a service that says nothing is not waited for as a document does."""
    monkeypatch.setattr(retrieve, "PATIENCE", timedelta(seconds=0.2))
    service.mode = mode
    _, events, _ = await chatbot.ask("When is a refund possible?")
    assert events[-1][1]["kind"] == "extractive"
    assert "within 30 days" in text_of(events)
    assert len(service.asked) > 2  # it was asked


async def test_a_service_that_failed_twice_is_not_waited_for_until_it_is_tried_again(
    chatbot: Chatbot, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is silent two questions wait for it and no third; after five seconds one tries, and it serves again."""
    monkeypatch.setattr(retrieve, "PATIENCE", timedelta(seconds=0.2))
    service.mode = "silent"
    asked = len(service.asked)
    for number in range(5):
        _, events, _ = await chatbot.ask(f"When is a refund number {number} possible?")
        assert "within 30 days" in text_of(events)
    assert len(service.asked) == asked + 2
    service.mode = "ok"
    await chatbot.ask("When is a sixth refund possible?")
    assert len(service.asked) == asked + 2
    chatbot.clock.fast_forward(5)
    for number in range(2):
        await chatbot.ask(f"Until when is a refund number {number} possible?")
    assert len(service.asked) == asked + 4
