"""Vectors of two models do not compare: a change is refused until every passage was embedded again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from chatbot.core.caller import Caller, CallerKind
from chatbot.core.documents import Event, Status
from chatbot.errors import EmbeddingFailed, EmbeddingModelChanged
from chatbot.integrations import minilm
from chatbot.stages.ingest import ingest
from chatbot.stages.ports import Outside
from chatbot.stages.reembed import reembed
from chatbot.stages.repeat import verify
from chatbot.stages.retrieve import retrieve
from chatbot.stages.upload import upload
from chatbot.store.documents import document_of
from chatbot_house import Chatbot, add_document, free_port, text_of

QUESTION = "When is a refund possible?"
OTHER = "another-model"


class Other:
    """The same model under another name, as far as it can be told from outside; it may fail after so many calls."""

    name = OTHER

    def __init__(self, parts: Outside, *, calls: int = 1_000_000) -> None:
        self._real = parts.embedder
        self.tokens, self.telling = self._real.tokens, self._real.telling
        self.left = calls

    async def embed(self, texts: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise EmbeddingFailed("The embedding service answered 503: away")
        return await self._real.embed(texts)


def with_other(chatbot: Chatbot, **options: Any) -> Outside:
    """The parts of a process that is configured with the other model."""
    return replace(chatbot.parts, embedder=Other(chatbot.parts, **options))


@pytest.fixture
def models_of(superuser_url: str) -> Callable[[], set[str]]:
    """The models of the passages that are stored."""

    def read() -> set[str]:
        with psycopg.connect(superuser_url) as conn:
            return {row[0] for row in conn.execute("SELECT DISTINCT model FROM passages")}

    return read


async def test_a_server_with_another_model_refuses_to_start(
    command: Callable[..., Any], chatbot: Chatbot
) -> None:
    """It ends at once and says both names, how to go back and how to go on; a worker too."""
    extra = {"CHATBOT_EMBEDDINGS_URL": "http://127.0.0.1:1/v1", "CHATBOT_EMBEDDINGS_MODEL": OTHER}
    for name in ("serve", "work"):
        process = command(
            name, **extra, CHATBOT_PORT=str(free_port()), CHATBOT_WORKER_METRICS_PORT=str(free_port())
        )
        _, said = await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == 2, said
        for part in (minilm.NAME, OTHER, "chatbot reembed", "CHATBOT_EMBEDDINGS_MODEL"):
            assert part in said


async def test_a_running_server_says_it_in_its_health(chatbot: Chatbot) -> None:
    """Somebody embedded again meanwhile: this process compares what does not compare, and says so."""
    assert (await chatbot.get("/api/health/database"))[0] == 200
    await reembed(with_other(chatbot))
    status, health = await chatbot.get("/api/health/database")
    assert status == 503
    assert f"embedded by '{OTHER}'" in health["reason"]
    # Nor does it take nearness for evidence; what shares words is found as before.
    _, events, _ = await chatbot.ask(QUESTION)
    assert "30 days" in text_of(events)
    found = await retrieve(chatbot.parts, _caller(chatbot), "How to get one's money back?", limit=6)
    assert found == ()


async def test_a_worker_with_another_model_stores_nothing(chatbot: Chatbot) -> None:
    """Its document waits, with the reason, for a worker that has the right one."""
    acme, parts = chatbot.tenants["acme"], chatbot.parts
    ref = await upload(
        parts.database, parts.clocks, acme, title="hours.md", parts=[b"# Hours\n\nFrom nine."], media_type=None, actor="test"
    )  # fmt: skip
    assert await ingest(with_other(chatbot), ref) is Event.RETRY
    async with parts.database.tenant(acme.tenant_id) as conn:
        document = await document_of(conn, acme.tenant_id, ref.document_id)
    assert document is not None
    assert (document.status, document.passages) == (Status.QUEUED, 0)
    assert f"'{OTHER}' is configured here" in (document.reason or "")
    chatbot.clock.fast_forward(timedelta(minutes=6).total_seconds())
    assert await ingest(parts, ref) is Event.EMBEDDED


async def test_embedding_again_goes_on_where_it_stopped(
    chatbot: Chatbot, models_of: Callable[[], set[str]]
) -> None:
    """While it is not finished no process starts; afterwards those of the new model do, and answer."""
    assert models_of() == {minilm.NAME}
    with pytest.raises(EmbeddingFailed):
        await reembed(with_other(chatbot, calls=1))
    assert models_of() == {minilm.NAME, OTHER}
    with pytest.raises(EmbeddingModelChanged, match="not finished"):
        await verify(with_other(chatbot))
    with pytest.raises(EmbeddingModelChanged, match=f"embedded by '{OTHER}'"):
        await verify(chatbot.parts)
    assert await reembed(with_other(chatbot)) == 1
    assert models_of() == {OTHER}
    await verify(with_other(chatbot))
    found = await retrieve(with_other(chatbot), _caller(chatbot), "How to get one's money back?", limit=6)
    assert [passage.heading for passage in found] == ["Refunds"]


async def test_one_can_go_back(chatbot: Chatbot, models_of: Callable[[], set[str]]) -> None:
    """To the model before, by embedding again; nothing is left of the other."""
    await reembed(with_other(chatbot))
    assert await reembed(chatbot.parts) == 2
    await verify(chatbot.parts)
    assert models_of() == {minilm.NAME}
    await add_document(chatbot.parts, chatbot.tenants["acme"], "more.md", b"# More\n\nOf the same.")


async def test_the_command_embeds_again(command: Callable[..., Any], chatbot: Chatbot) -> None:
    """Without a change there is nothing to do, and it says how much it did."""
    run = command("reembed")
    said, _ = await asyncio.to_thread(run.communicate, timeout=30)
    assert run.returncode == 0
    assert said.splitlines()[-1].startswith("0 passages were embedded again by all-MiniLM-L6-v2.")


def _caller(chatbot: Chatbot) -> Caller:
    return Caller(tenant=chatbot.tenants["acme"], actor="test", kind=CallerKind.API_KEY)
