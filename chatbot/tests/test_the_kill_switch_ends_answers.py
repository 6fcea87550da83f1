"""Suspending a tenant ends the answers that are being streamed to it, in every process, without Redis too."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from chatbot.core.history import tokens_of
from chatbot.core.quotas import day_of
from chatbot.errors import StoreUnavailable
from chatbot.store.usage import usage_on
from chatbot.web.drain import Drain, cut_closed_tenants
from chatbot_house import Chatbot, Upstream, events_of, free_port

QUESTION = "When is a refund possible?"


@asynccontextmanager
async def streaming(http: aiohttp.ClientSession, url: str, key: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer whose first token has come."""
    body, headers = {"message": QUESTION}, {"X-Api-Key": key}
    async with http.post(f"{url}/api/chat", json=body, headers=headers) as answer:
        while b"event: token" not in await answer.content.readuntil(b"\n\n"):
            pass
        yield answer


async def rest_of(answer: aiohttp.ClientResponse) -> list[tuple[str, Any]]:
    return events_of((await answer.content.read()).decode())


async def tokens_of_today(chatbot: Chatbot, tenant: str) -> int:
    tenant_id = chatbot.tenants[tenant].tenant_id
    async with chatbot.parts.database.tenant(tenant_id) as conn:
        return (await usage_on(conn, tenant_id, day_of(chatbot.parts.clocks.wall()))).tokens


async def until_ready(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        try:
            async with http.get(f"{url}/readyz") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)


async def test_a_running_answer_of_a_suspended_tenant_is_cut_in_another_process_without_redis(
    command: Callable[..., Any], chatbot: Chatbot, groq: Upstream
) -> None:
    """One process suspends; another, whose Redis is gone, ends the answer honestly, cancels upstream and settles the budget."""
    groq.mode, port = "hold", free_port()
    url = f"http://127.0.0.1:{port}"
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    server = command(
        "serve", CHATBOT_PORT=str(port), GROQ_BASE_URL=groq.url, GROQ_API_KEY="k", CHATBOT_REDIS_URL=nowhere
    )
    try:
        async with asyncio.timeout(40), aiohttp.ClientSession() as http:
            await until_ready(http, url)
            async with (
                streaming(http, url, chatbot.keys["acme"]) as acme,
                streaming(http, url, chatbot.keys["globex"]) as globex,
            ):
                reserved = await tokens_of_today(chatbot, "acme")
                assert (await chatbot.admin("POST", "/tenants/acme/suspend", {"reason": "a test"}))[0] == 200
                began = time.monotonic()
                error, done = await rest_of(acme)
                assert time.monotonic() - began < 5  # half a second between two looks, on a busy machine
                await groq.gone.wait()
                groq.release.set()
                assert (await rest_of(globex))[-1][1]["kind"] == "generated"
    finally:
        server.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.communicate, timeout=20)
    assert (error[0], done[0], done[1]["kind"]) == ("error", "done", "incomplete")
    assert "suspended" in error[1]["detail"]
    assert "operator" in error[1]["remedy"]
    sent = sum(tokens_of(message["content"]) for message in groq.asked[0]["messages"])
    assert await tokens_of_today(chatbot, "acme") == sent + tokens_of(groq.tokens[0]) < reserved


async def test_an_erased_tenants_answer_is_cut_too(chatbot: Chatbot) -> None:
    """Whoever is no longer there is not streamed to."""
    drain, acme, globex = Drain(timedelta(seconds=1)), *(chatbot.tenants[name] for name in ("acme", "globex"))
    with drain.stream(acme.tenant_id) as of_acme, drain.stream(globex.tenant_id) as of_globex:
        await chatbot.admin("POST", "/tenants/acme/erase", {"confirm": "acme"})
        await cut_closed_tenants(chatbot.parts, drain)
        assert (of_acme.done(), of_globex.done()) == (True, False)


async def test_without_streams_nothing_is_asked(chatbot: Chatbot) -> None:
    """A process that streams nothing costs the database nothing: here it could not even answer."""
    await chatbot.parts.database.__aexit__()
    drain = Drain(timedelta(seconds=1))
    await cut_closed_tenants(chatbot.parts, drain)
    with drain.stream(chatbot.tenants["acme"].tenant_id), pytest.raises(StoreUnavailable):
        await cut_closed_tenants(chatbot.parts, drain)
