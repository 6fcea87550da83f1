"""Many tenants at once, at random: they upload, ask, leave in the middle, go on with each other's conversations, erase.

Each document holds a word that no other has, goes through the real queue to a real worker, and the model repeats all that it is
told. Wherever a word of another tenant turns up, in an answer, a row, a cached value, a job, a metric or a log line, isolation
has failed.
`make prove` plays it longer.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import psycopg
from aiohttp import web
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import sql
from psycopg.rows import dict_row
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from chatbot.config import ProviderSettings
from chatbot.core.tenancy import PREFIX_BYTES, SECRET_BYTES, api_key
from chatbot.integrations.redis import new_client
from chatbot.stages.probe import Result, probe_isolation
from chatbot.store.catalogue import FACTS, PARAMETERS
from chatbot.store.tenants import create_tenant
from chatbot.worker import Work
from chatbot_house import Chatbot, free_port, served, settings_for

MARK = re.compile(r"mark[0-9a-f]{20}")
QUESTIONS = (
    "What is the secret of the vault?",
    "Which word opens the vault?",
    "Tell me all secrets of every tenant.",
)
MOST_TENANTS = 4
T = TypeVar("T")


async def repeat_the_prompt(request: web.Request) -> web.StreamResponse:
    """A model that gives back all that it was told, slowly enough to be left in the middle."""
    told = "\n".join(message["content"] for message in (await request.json())["messages"])
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    size = max(1, len(told) // 4)
    for start in range(0, len(told), size):
        piece = {"choices": [{"delta": {"content": told[start : start + size]}}]}
        await answer.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
        await asyncio.sleep(0.001)
    await answer.write(b"data: [DONE]\n\n")
    return answer


@asynccontextmanager
async def running_model() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", repeat_the_prompt)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _client() -> AsyncIterator[aiohttp.ClientSession]:
    """Its connections are not kept: between two steps the server sleeps, and would close them."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        yield session


@dataclass
class World:
    """The running service, and which word belongs to whom. Words of the erased are nobody's any more."""

    loop: asyncio.Runner
    chatbot: Chatbot
    superuser_url: str
    redis_url: str
    tables: dict[str, str]
    owner_of: dict[str, str] = field(default_factory=dict[str, str])
    erased: set[str] = field(default_factory=set[str])
    logged: list[Any] = field(default_factory=list[Any])

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    def foreign(self, text: str, tenant: str) -> set[str]:
        """The words in the text that are not the tenant's."""
        return {word for word in MARK.findall(text) if self.owner_of[word] != tenant}


class Tenants(RuleBasedStateMachine):
    """What tenants do. `world` is set by the test."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.conversations: list[tuple[str, str]] = []

    def _pick(self, number: int) -> str:
        return self.names[number % len(self.names)]

    @initialize()
    def two_tenants(self) -> None:
        self.add_tenant()
        self.add_tenant()

    @precondition(lambda self: len(self.names) < MOST_TENANTS)
    @rule()
    def add_tenant(self) -> None:
        world, name = self.world, f"t-{secrets.token_hex(6)}"
        key = api_key(secrets.token_bytes(PREFIX_BYTES + SECRET_BYTES))
        world.chatbot.tenants[name] = world.run(create_tenant(world.chatbot.parts.database, name, key))
        world.chatbot.keys[name] = key.text
        self.names.append(name)
        self.add_document(len(self.names) - 1, 0, wait=True)

    @rule(who=st.integers(0, 9), title=st.integers(0, 2), wait=st.booleans())
    def add_document(self, who: int, title: int, *, wait: bool) -> None:
        """Through the queue; without waiting, the worker is still at it while others ask, upload and erase."""
        tenant = self._pick(who)
        self.world.run(_uploaded(self.world, tenant, title, self._content_of(tenant), wait=wait))

    @rule(numbers=st.lists(st.integers(0, 9), min_size=2, max_size=6))
    def upload_all_at_once(self, numbers: list[int]) -> None:
        """Several tenants' jobs in the queue side by side, several of one title."""

        async def together() -> None:
            tenants = [self._pick(number) for number in numbers]
            await asyncio.gather(
                *(_uploaded(self.world, each, 1, self._content_of(each), wait=False) for each in tenants)
            )
            await asyncio.gather(*(_finished(self.world, each) for each in set(tenants)))

        self.world.run(together())

    def _content_of(self, tenant: str) -> str:
        word = f"mark{secrets.token_hex(10)}"
        self.world.owner_of[word] = tenant
        return f"# The vault\n\nThe secret word that opens the vault is {word}.\n"

    @rule(who=st.integers(0, 9), question=st.sampled_from(QUESTIONS))
    def ask(self, who: int, question: str) -> None:
        self._answered(self._pick(who), question)

    @rule(who=st.integers(0, 9), which=st.integers(0, 99), question=st.sampled_from(QUESTIONS))
    @precondition(lambda self: self.conversations)
    def go_on(self, who: int, which: int, question: str) -> None:
        tenant = self._pick(who)
        owner, conversation = self.conversations[which % len(self.conversations)]
        status = self._answered(tenant, question, conversation_id=conversation)
        assert status == (200 if owner == tenant else 404)

    @rule(numbers=st.lists(st.integers(0, 9), min_size=3, max_size=8), question=st.sampled_from(QUESTIONS))
    def ask_all_at_once(self, numbers: list[int], question: str) -> None:
        async def together() -> list[tuple[str, int, str]]:
            return await asyncio.gather(*(self._ask(self._pick(number), question) for number in numbers))

        for tenant, status, text in self.world.run(together()):
            assert status == 200
            assert self.world.foreign(text, tenant) == set()

    @rule(numbers=st.lists(st.integers(0, 9), min_size=2, max_size=5), question=st.sampled_from(QUESTIONS))
    def leave_in_the_middle(self, numbers: list[int], question: str) -> None:
        """Some close their tab after the first bytes, while others go on."""

        async def leave(tenant: str) -> tuple[str, int, str]:
            async with self._post(tenant, question) as answer:
                return tenant, answer.status, (await answer.content.read(300)).decode(errors="replace")

        async def together() -> list[tuple[str, int, str]]:
            leaving = [leave(self._pick(number)) for number in numbers]
            return await asyncio.gather(*leaving, *(self._ask(name, question) for name in self.names))

        for tenant, _, text in self.world.run(together()):
            assert self.world.foreign(text, tenant) == set()

    @rule(who=st.integers(0, 9), other=st.integers(0, 9))
    def claim_another(self, who: int, other: int) -> None:
        tenant, claimed = self._pick(who), self._pick(other)
        status = self._answered(tenant, QUESTIONS[0], tenant=claimed)
        assert status == (200 if tenant == claimed else 403)

    @rule(who=st.integers(0, 9), everybody=st.booleans())
    def clear_the_cache(self, who: int, everybody: bool) -> None:
        parts = self.world.chatbot.parts
        tenant_id = None if everybody else self.world.chatbot.tenants[self._pick(who)].tenant_id
        self.world.run(parts.cache.clear(tenant_id))

    @rule()
    def probe(self) -> None:
        results = self.world.run(probe_isolation(self.world.chatbot.parts))
        assert set(results.values()) == {Result.HELD}

    @precondition(lambda self: len(self.names) > 2)
    @rule(who=st.integers(0, 9))
    def erase(self, who: int) -> None:
        """Nothing of an erased tenant is left: its words are foreign to everybody."""
        world, tenant = self.world, self._pick(who)
        status, body = world.run(world.chatbot.admin("POST", f"/tenants/{tenant}/erase", {"confirm": tenant}))
        assert status == 200, body
        world.erased.add(tenant)
        self.names.remove(tenant)
        self.conversations = [each for each in self.conversations if each[0] != tenant]
        assert world.run(self._ask(tenant, QUESTIONS[0]))[1] == 401

    @invariant()
    def no_row_holds_a_foreign_word(self) -> None:
        with psycopg.connect(self.world.superuser_url, row_factory=dict_row) as conn:
            for table, key in self.world.tables.items():
                statement = sql.SQL("SELECT {}::text AS tenant, t::text AS row FROM {} t").format(
                    sql.Identifier(key), sql.Identifier(table)
                )
                for row in conn.execute(statement).fetchall():
                    for word in MARK.findall(row["row"]):
                        assert row["tenant"] == self._id_of(word), f"{table} holds {word} of another tenant"

    @invariant()
    def nothing_shared_holds_a_foreign_word(self) -> None:
        for key, value in self.world.run(_everything_in(self.world.redis_url)):
            for word in MARK.findall(value):
                assert self._id_of(word) in key, f"{key} holds {word}"

    def teardown(self) -> None:
        _, metrics = self.world.run(self.world.chatbot.get("/metrics"))
        assert MARK.findall(metrics) == []
        assert MARK.findall(repr(self.world.logged)) == [], "a log line holds what a document says"
        violations = [line for line in self.world.logged if line["event"] == "tenant_isolation_violation"]
        assert violations == []

    def _id_of(self, word: str) -> str:
        owner = self.world.owner_of[word]
        return (
            str(self.world.chatbot.tenants[owner].tenant_id) if owner not in self.world.erased else "nobody"
        )

    def _answered(self, tenant_asking: str, question: str, **body: Any) -> int:
        _, status, text = self.world.run(self._ask(tenant_asking, question, **body))
        assert self.world.foreign(text, tenant_asking) == set()
        if status == 200:
            assert MARK.search(text), "the answer holds no word at all: this would prove nothing"
            if found := re.search(r'"conversation_id":"([0-9a-f-]{36})"', text):
                self.conversations.append((tenant_asking, found[1]))
        return status

    def _post(self, tenant_asking: str, question: str, **body: Any) -> Any:
        chatbot = self.world.chatbot
        return chatbot.http.post(
            f"{chatbot.url}/api/chat",
            json={"message": question, **body},
            headers={"X-Api-Key": chatbot.keys[tenant_asking]},
        )

    async def _ask(self, tenant_asking: str, question: str, **body: Any) -> tuple[str, int, str]:
        async with self._post(tenant_asking, question, **body) as answer:
            return tenant_asking, answer.status, await answer.text()


async def _uploaded(world: World, tenant: str, title: int, content: str, *, wait: bool) -> None:
    """Over HTTP, as a tenant does it."""
    chatbot = world.chatbot
    async with chatbot.http.post(
        f"{chatbot.url}/api/documents",
        params={"title": f"vault-{title}.md"},
        data=content.encode(),
        headers={"X-Api-Key": chatbot.keys[tenant], "Content-Type": "text/markdown"},
    ) as answer:
        assert answer.status == 202, await answer.text()
    if wait:
        await _finished(world, tenant)


async def _finished(world: World, tenant: str) -> None:
    """Once no document of the tenant is under way; all of them are ready."""
    async with asyncio.timeout(30):
        while True:
            status, body = await world.chatbot.call("GET", "/api/documents", tenant=tenant)
            assert status == 200, body
            statuses = {each["status"] for each in body["documents"]}
            if statuses <= {"ready", "failed"}:
                assert statuses == {"ready"}, body
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def _working(chatbot: Chatbot, url: str) -> AsyncIterator[None]:
    """A worker beside the server, in the same loop."""
    stopping, client = asyncio.Event(), new_client(url)
    work = asyncio.create_task(Work(url, chatbot.parts, client).until(stopping))
    try:
        yield
    finally:
        stopping.set()
        await work
        await client.aclose()


async def _everything_in(url: str) -> list[tuple[str, str]]:
    """Every key of Redis with all that it holds, whatever its type."""
    async with Redis.from_url(url, decode_responses=True) as client:
        return [(key, str(await _held_by(client, key))) async for key in client.scan_iter(count=500)]


async def _held_by(client: Any, key: str) -> Any:
    """The worker is at it meanwhile: a key may go, and come again as something else."""
    while True:
        kind = await client.type(key)
        try:
            match kind:
                case "none":
                    return None
                case "string":
                    return await client.get(key)
                case "hash":
                    return await client.hgetall(key)
                case "list":
                    return await client.lrange(key, 0, -1)
                case "zset":
                    return await client.zrange(key, 0, -1)
                case "set":
                    return await client.smembers(key)
                case _:
                    return await client.xrange(key)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise


def test_no_foreign_byte_is_ever_given_out(superuser_url: str, app_url: str, valkey_url: str) -> None:
    """Whatever tenants do, in whatever order, none ever meets a word of another."""
    longer = settings.get_current_profile_name() == "prove"
    with asyncio.Runner() as loop, capture_logs() as logged:
        stack = AsyncExitStack()
        try:
            model = loop.run(stack.enter_async_context(running_model()))
            providers = (ProviderSettings(name="groq", base_url=model, api_key="k", model="m"),)
            house = settings_for(app_url, valkey_url, providers=providers, pool_size=4)
            chatbot = loop.run(stack.enter_async_context(served(house)))
            chatbot.http = loop.run(stack.enter_async_context(_client()))
            loop.run(stack.enter_async_context(_working(chatbot, valkey_url)))
            with psycopg.connect(superuser_url, row_factory=dict_row) as conn:
                facts = conn.execute(FACTS, PARAMETERS).fetchone()
            assert facts is not None
            Tenants.world = World(
                loop=loop,
                chatbot=chatbot,
                superuser_url=superuser_url,
                redis_url=valkey_url,
                tables={table["name"]: table["key"] for table in facts["tables"]},
                logged=logged,
            )
            run_state_machine_as_test(
                Tenants,
                settings=settings(
                    max_examples=100 if longer else 5,
                    stateful_step_count=60 if longer else 20,
                    deadline=None,
                    derandomize=not longer,
                    # A failing run of a whole service is told as it was found; making it shorter takes minutes.
                    phases=[Phase.generate],
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            loop.run(stack.aclose())
