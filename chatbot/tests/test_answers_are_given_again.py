"""The cache of answers: the same question of the same tenant over the same documents is answered without a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

import guards
from chatbot.config import ProviderSettings
from chatbot.core.answer_settings import AnswerSettings
from chatbot.core.cached import digest, stamp_of
from chatbot_house import Chatbot, Upstream, free_port, served, settings_for, text_of

QUESTION = "When is a refund possible?"
PROVIDERS = ("groq", "openai")


@pytest.fixture
async def chatbot(app_url: str, valkey_url: str, groq: Upstream, openai: Upstream) -> AsyncGenerator[Chatbot]:
    """A chatbot that keeps answers."""
    async with caching(app_url, valkey_url, groq, openai) as running:
        yield running


def caching(app_url: str, redis_url: str, groq: Upstream, openai: Upstream) -> Any:
    providers = tuple(
        ProviderSettings(name=name, base_url=upstream.url, api_key="k", model="m")
        for name, upstream in zip(PROVIDERS, (groq, openai), strict=True)
    )
    return served(settings_for(app_url, redis_url, providers=providers, cache_seconds=3600))


@pytest.fixture
async def redis(valkey_url: str) -> AsyncGenerator[Redis]:
    async with Redis.from_url(valkey_url, decode_responses=True) as client:
        yield client


async def kept(redis: Redis, chatbot: Chatbot, tenant: str = "acme") -> list[str]:
    """The keys of the tenant's answers."""
    pattern = f"chatbot:answer:{chatbot.tenants[tenant].tenant_id}:*"
    return [key async for key in redis.scan_iter(match=pattern)]


async def test_the_second_time_no_model_is_asked(chatbot: Chatbot, groq: Upstream) -> None:
    """The same text and sources, marked as cached, free of charge, and in a conversation of its own that goes on."""
    groq.tokens = ["Within 30 days [", "1].", " And [9]."]
    hits = await chatbot.metric("rag_cache_hits_total")
    _, first, _ = await chatbot.ask(QUESTION)
    _, second, _ = await chatbot.ask("  when IS a ｒefund possible ")
    assert (len(groq.asked), text_of(second), second[0]) == (1, text_of(first), first[0])
    assert (first[-1][1]["cached"], second[-1][1]["cached"]) == (False, True)
    assert second[-1][1]["usage"]["completion_tokens"] == 0
    assert await chatbot.metric("rag_cache_hits_total") == hits + 1
    conversations = {events[-1][1]["conversation_id"] for events in (first, second)}
    assert len(conversations) == 2
    await chatbot.ask("And then?", conversation_id=second[-1][1]["conversation_id"])
    assert [m["content"] for m in groq.asked[-1]["messages"][1:3]] == [
        "  when IS a ｒefund possible ",
        text_of(first),
    ]


async def test_a_question_that_goes_on_is_never_taken_from_the_cache(
    chatbot: Chatbot, groq: Upstream
) -> None:
    """What was said before may change what is meant."""
    _, events, _ = await chatbot.ask(QUESTION)
    for _ in range(2):
        _, again, _ = await chatbot.ask(QUESTION, conversation_id=events[-1][1]["conversation_id"])
        assert again[-1][1]["cached"] is False
    assert len(groq.asked) == 3


async def test_a_changed_document_makes_old_answers_unreachable(
    chatbot: Chatbot, groq: Upstream, redis: Redis
) -> None:
    """The moment a document is there, the next question is answered from it; its answer takes the place of the old one."""
    await chatbot.ask(QUESTION)
    await chatbot.add_document("acme", "policy.md", "# Refunds\n\nA refund is possible within 60 days.\n")
    _, events, _ = await chatbot.ask(QUESTION)
    assert events[-1][1]["cached"] is False
    assert "60 days" in groq.asked[-1]["messages"][-1]["content"]
    _, again, _ = await chatbot.ask(QUESTION)
    assert (again[-1][1]["cached"], text_of(again)) == (True, text_of(events))
    assert len(await kept(redis, chatbot)) == 1


async def test_another_tenant_is_never_given_the_answer(chatbot: Chatbot, groq: Upstream) -> None:
    """The same question of globex is answered from globex's documents."""
    await chatbot.ask(QUESTION, tenant="acme")
    _, events, _ = await chatbot.ask(QUESTION, tenant="globex")
    assert (events[-1][1]["cached"], len(groq.asked)) == (False, 2)
    assert "globex" in events[0][1]["sources"][0]["text"]


async def test_a_foreign_answer_in_the_cache_is_withheld_and_told(
    chatbot: Chatbot, redis: Redis, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Whatever put it there: nothing of it is streamed, the violation is audited, and it is gone the next time."""
    await chatbot.ask(QUESTION, tenant="acme")
    (key,) = await kept(redis, chatbot)
    value = orjson.loads(await redis.get(key))
    value.update(tenant_id=str(chatbot.tenants["globex"].tenant_id), text="globex's secret")
    await redis.set(key, orjson.dumps(value))
    status, events, problem = await chatbot.ask(QUESTION, tenant="acme")
    assert (status, events) == (500, [])
    assert problem["title"] == "Withheld"
    assert audit_rows("tenant_isolation_violation")[0][2]["source"] == "cache"
    assert (await chatbot.ask(QUESTION, tenant="acme"))[0] == 200


@pytest.mark.parametrize("value", ["", "{", "[]", '{"marks": ["", ""]}', "null"])
async def test_what_cannot_be_read_counts_as_nothing(chatbot: Chatbot, redis: Redis, value: str) -> None:
    """A value of another version, or of nobody, is answered anew."""
    await chatbot.ask(QUESTION)
    (key,) = await kept(redis, chatbot)
    await redis.set(key, value)
    _, events, _ = await chatbot.ask(QUESTION)
    assert events[-1][1]["cached"] is False


async def test_a_cleared_answer_is_made_anew(chatbot: Chatbot, redis: Redis) -> None:
    """Cleared for acme, globex's stays; cleared for everybody, none does."""
    for tenant in ("acme", "globex"):
        await chatbot.ask(QUESTION, tenant=tenant)
    assert (await chatbot.admin("POST", "/cache/clear?tenant=acme"))[1]["cleared"] == 1
    assert await kept(redis, chatbot) == []
    assert (await chatbot.ask(QUESTION, tenant="acme"))[1][-1][1]["cached"] is False
    assert (await chatbot.ask(QUESTION, tenant="globex"))[1][-1][1]["cached"] is True
    await chatbot.admin("POST", "/cache/clear")
    assert (await chatbot.ask(QUESTION, tenant="globex"))[1][-1][1]["cached"] is False


async def test_an_answer_that_was_being_made_during_a_clear_is_not_given_again(
    chatbot: Chatbot, groq: Upstream
) -> None:
    """It may be the very answer that was to be forgotten."""
    groq.mode = "hold"
    running = asyncio.create_task(chatbot.ask(QUESTION))
    async with asyncio.timeout(5):
        while not groq.asked:
            await asyncio.sleep(0.01)
    await chatbot.admin("POST", "/cache/clear?tenant=acme")
    groq.release.set()
    await running
    assert (await chatbot.ask(QUESTION))[1][-1][1]["cached"] is False


@pytest.mark.parametrize("mode", ["break", "error"])
async def test_a_broken_answer_is_not_kept(chatbot: Chatbot, groq: Upstream, redis: Redis, mode: str) -> None:
    """Incomplete ones are nobody's to read again."""
    groq.mode = mode
    await chatbot.ask(QUESTION)
    assert await kept(redis, chatbot) == []


async def test_an_answer_of_an_outage_is_not_kept_and_one_of_the_fallback_not_for_long(
    chatbot: Chatbot, groq: Upstream, openai: Upstream, redis: Redis
) -> None:
    """Quoted because nobody answered: not at all. From OpenAI because Groq did not: a minute, like a refusal."""
    groq.mode = openai.mode = "401"
    await chatbot.ask(QUESTION)
    assert await kept(redis, chatbot) == []
    openai.mode = "ok"
    await chatbot.ask(QUESTION)
    await chatbot.ask("quantum chromodynamics")
    assert [0 < await redis.ttl(key) <= 60 for key in await kept(redis, chatbot)] == [True, True]


async def test_without_redis_questions_are_answered_and_do_not_wait(
    app_url: str, groq: Upstream, openai: Upstream
) -> None:
    """After the first failure Redis is left alone for two seconds."""
    async with caching(app_url, f"redis://127.0.0.1:{free_port()}/0", groq, openai) as chatbot:
        for _ in range(3):
            _, events, _ = await chatbot.ask(QUESTION)
            assert events[-1][1]["kind"] == "generated"
        assert chatbot.parts.cache_breaker.admit(chatbot.parts.clocks.monotonic()) is None


async def test_where_nothing_is_kept_nothing_is_missed(app_url: str, valkey_url: str) -> None:
    """With the cache off its metrics stand still: a share of hits of 0 would be read as a fault."""
    async with served(settings_for(app_url, valkey_url, cache_seconds=0)) as chatbot:
        misses = await chatbot.metric("rag_cache_misses_total")
        for _ in range(2):
            _, events, _ = await chatbot.ask(QUESTION)
            assert events[-1][1]["cached"] is False
        assert await chatbot.metric("rag_cache_misses_total") == misses


async def test_a_hundred_at_once_are_each_kept_in_a_conversation_of_their_own(chatbot: Chatbot) -> None:
    """Kept together, a hundred cached answers have a hundred conversations, and all are counted in the tenant's day."""
    await chatbot.ask(QUESTION)
    answers = await asyncio.gather(*(chatbot.ask(QUESTION) for _ in range(100)))
    ids = {events[-1][1]["conversation_id"] for _, events, _ in answers}
    assert (len(ids), None in ids) == (100, False)
    tenant_id = chatbot.tenants["acme"].tenant_id
    async with chatbot.parts.database.tenant(tenant_id) as conn:
        row = await (
            await conn.execute(
                "SELECT (SELECT count(*) FROM conversations WHERE tenant_id = %(t)s) AS conversations,"
                " (SELECT count(*) FROM messages WHERE tenant_id = %(t)s) AS messages,"
                " (SELECT requests FROM usage_days WHERE tenant_id = %(t)s) AS requests",
                {"t": tenant_id},
            )
        ).fetchone()
    assert row == {"conversations": 101, "messages": 202, "requests": 101}


async def test_cached_answers_count_as_requests_of_the_day(chatbot: Chatbot) -> None:
    """A tenant with two requests a day is refused the third, also where it would cost nothing."""
    tenant_id = chatbot.tenants["acme"].tenant_id
    async with chatbot.parts.database.tenant(tenant_id) as conn:
        await conn.execute(
            "INSERT INTO quotas (tenant_id, name, value, updated_by) VALUES (%s, 'requests_per_day', 2, 'test')",
            (tenant_id,),
        )
    assert [(await chatbot.ask(QUESTION))[0] for _ in range(3)] == [200, 200, 429]


def test_everything_that_an_answer_depends_on_is_in_its_stamp() -> None:
    """Each alone makes another stamp; the question is where the answer is kept."""
    settings = AnswerSettings(
        similarity_top_k=6, max_tokens=100, providers=PROVIDERS, models={"groq": "a", "openai": "b"}
    )
    stamps = {
        stamp_of(revision=1, settings=settings, rerank=False),
        stamp_of(revision=2, settings=settings, rerank=False),
        stamp_of(revision=1, settings=settings, rerank=True),
        *(
            stamp_of(revision=1, settings=replace(settings, **changed), rerank=False)
            for changed in (
                {"similarity_top_k": 5},
                {"max_tokens": 99},
                {"providers": PROVIDERS[::-1]},
                {"models": {"groq": "c"}},
            )
        ),
    }
    assert len(stamps) == 7
    assert digest("when") == digest(" WHEN? ") != digest("who")


guards.install(globals())
