"""The provider and the sink of the local stack speak the real formats, and fail when they are told to."""

from __future__ import annotations

import asyncio
import json
import smtplib
from collections.abc import AsyncGenerator
from email.message import EmailMessage

import aiohttp
import pytest
from aiohttp import web
from aiosmtpd import smtp

from drills.sink import Sink
from drills.upstream import Upstream, answer

MESSAGES = [
    {
        "role": "system",
        "content": "Answer.\n\n[1] shop: Returns\nGoods go back within 30 days.\n\n[2] shop: Shipping\nParcels leave daily.",
    },
    {"role": "user", "content": "Within how many days do goods go back?"},
]


async def serve(app: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def upstream() -> AsyncGenerator[str]:
    runner, url = await serve(Upstream().app())
    yield url
    await runner.cleanup()


def test_the_answer_is_a_sentence_of_a_passage_with_its_number() -> None:
    """What a drill's chatbot says can be checked against its documents."""
    assert answer(MESSAGES) == "Goods go back within 30 days. [1]"
    assert answer([{"role": "user", "content": "hello"}]) == "The passages do not say."


async def test_the_stream_is_in_openais_format(session: aiohttp.ClientSession, upstream: str) -> None:
    """Chunks of deltas, then [DONE]."""
    async with session.post(
        f"{upstream}/v1/chat/completions", json={"messages": MESSAGES, "stream": True}
    ) as response:
        lines = [line for line in (await response.text()).split("\n") if line]
    assert lines[-1] == "data: [DONE]"
    text = "".join(json.loads(line[6:])["choices"][0]["delta"]["content"] for line in lines[:-1])
    assert text == answer(MESSAGES)


async def test_it_fails_and_breaks_when_told(session: aiohttp.ClientSession, upstream: str) -> None:
    """503 for a failure; a stream that ends without [DONE] for a break; 400 for a word it does not know."""
    body = {"messages": MESSAGES, "stream": True}
    for word in ("fail", "break"):
        async with session.put(f"{upstream}/_faults", json={"chat": word}) as response:
            assert response.status == 200
        async with session.post(f"{upstream}/v1/chat/completions", json=body) as response:
            text = await response.text()
            assert response.status == (503 if word == "fail" else 200)
            assert "[DONE]" not in text
    async with session.put(f"{upstream}/_faults", json={"chat": "explode"}) as response:
        assert response.status == 400


async def test_the_reranker_orders_and_fails(session: aiohttp.ClientSession, upstream: str) -> None:
    """A score for each document; 500 when told."""
    body = {"query": "parcels daily", "documents": ["goods", "parcels leave daily"]}
    async with session.post(f"{upstream}/v1/rerank", json=body) as response:
        results = (await response.json())["results"]
    assert max(results, key=lambda row: row["relevance_score"])["index"] == 1
    async with session.put(f"{upstream}/_faults", json={"rerank": "fail"}):
        pass
    async with session.post(f"{upstream}/v1/rerank", json=body) as response:
        assert response.status == 500


async def test_the_sink_keeps_repeats_and_refuses_when_told(session: aiohttp.ClientSession) -> None:
    """A drill counts what arrived, repeats included, by webhook and by mail."""
    sink = Sink()
    runner, url = await serve(sink.app())
    loop = asyncio.get_running_loop()
    mail = await loop.create_server(lambda: smtp.SMTP(sink, loop=loop), "127.0.0.1", 0)
    port = mail.sockets[0].getsockname()[1]
    for _ in range(2):
        async with session.post(
            f"{url}/hooks/alice", json={"a": 1}, headers={"Idempotency-Key": "k"}
        ) as response:
            assert response.status == 202
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "alice@example.com", "INC-1"
    message.set_content("Wake up.")

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.send_message(message)

    await asyncio.to_thread(send)
    async with session.get(f"{url}/deliveries") as response:
        kept = await response.json()
    assert [(item["channel"], item["key"]) for item in kept[:2]] == [("webhook", "k")] * 2
    assert (kept[2]["to"], kept[2]["text"]) == ("alice@example.com", "Wake up.\n")
    async with session.put(f"{url}/_faults", json={"webhook": "500", "email": "reject"}):
        pass
    async with session.post(f"{url}/hooks/alice", json={}) as response:
        assert response.status == 500
    with pytest.raises(smtplib.SMTPDataError):
        await asyncio.to_thread(send)
    mail.close()
    await runner.cleanup()
