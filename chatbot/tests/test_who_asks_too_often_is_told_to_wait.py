"""Limits: by address, key, tenant and session; and what stands when Redis is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.core.client_address import TrustedProxies
from chatbot.core.limits import Detour, Limit, LocalCounts, Route, Who, parse_limits, route_of
from chatbot.core.quotas import day_of
from chatbot.errors import ConfigError, RateLimited
from chatbot.stages.limit import limit
from chatbot.store.usage import usage_on
from chatbot_house import Chatbot, Wire, served, settings_for, wire_to
from reception import PAGE, ask_as, widget_key, widget_session

PROXY = TrustedProxies((ip_network("127.0.0.0/8"),))


@asynccontextmanager
async def limited(app_url: str, valkey_url: str, limits: str) -> AsyncGenerator[Chatbot]:
    settings = settings_for(app_url, valkey_url, limits=parse_limits(limits), trusted_proxies=PROXY)
    async with served(settings) as chatbot:
        yield chatbot


async def get(chatbot: Chatbot, ip: str, path: str = "/openapi.json") -> Any:
    async with chatbot.http.get(f"{chatbot.url}{path}", headers={"X-Forwarded-For": ip}) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_an_address_beyond_its_limit_is_told_when_to_come_back(app_url: str, valkey_url: str) -> None:
    """429 with Retry-After, the RateLimit fields and a remedy; other addresses are not touched."""
    async with limited(app_url, valkey_url, "read.ip=3/minute") as chatbot:
        assert [(await get(chatbot, "203.0.113.9"))[0] for _ in range(4)] == [200, 200, 200, 429]
        _, headers, body = await get(chatbot, "203.0.113.9")
        assert 1 <= int(headers["Retry-After"]) <= 60
        assert headers["RateLimit-Policy"] == '"read.ip";q=3;w=60'
        assert headers["RateLimit"].startswith('"read.ip";r=0;t=')
        assert headers["Content-Type"] == "application/problem+json"
        assert b'"remedy"' in body
        assert (await get(chatbot, "203.0.113.10"))[0] == 200


async def test_a_customers_ipv6_addresses_count_together(app_url: str, valkey_url: str) -> None:
    """Changing the address within one's /64 gains nothing."""
    async with limited(app_url, valkey_url, "read.ip=2/minute") as chatbot:
        found = [(await get(chatbot, f"2001:db8::{n}"))[0] for n in range(1, 5)]
        assert found == [200, 200, 429, 429]


async def test_liveness_and_metrics_are_not_limited(app_url: str, valkey_url: str) -> None:
    """What watches the process gets its answer in a flood."""
    async with limited(app_url, valkey_url, "read.ip=1/minute") as chatbot:
        for path in ("/livez", "/metrics"):
            assert {(await get(chatbot, "203.0.113.9", path))[0] for _ in range(5)} == {200}


@pytest.mark.parametrize("who", ["key", "tenant"])
async def test_one_tenant_beyond_its_limit_does_not_touch_another(
    app_url: str, valkey_url: str, who: str
) -> None:
    """By key and by tenant."""
    async with limited(app_url, valkey_url, f"chat.{who}=2/minute") as chatbot:
        found = [await chatbot.ask("When is a refund possible?") for _ in range(3)]
        assert [status for status, _, _ in found] == [200, 200, 429]
        assert found[-1][2]["type"] == "urn:bitb-chatbot:problem:rate_limited"
        assert (await chatbot.ask("When is a refund possible?", tenant="globex"))[0] == 200


async def test_a_visitors_session_beyond_its_limit_touches_no_other(app_url: str, valkey_url: str) -> None:
    """By the widget's session: a document that says what to do, Retry-After, and other visitors and servers go on asking."""
    async with limited(app_url, valkey_url, "chat.session=2/minute") as chatbot:
        key = await widget_key(chatbot, PAGE)
        (_, mine), (_, other) = [await widget_session(chatbot, key, PAGE) for _ in range(2)]
        assert [await ask_as(chatbot, **visitor(mine)) for _ in range(2)] == [200, 200]
        async with chatbot.http.post(
            f"{chatbot.url}/api/chat", json={"message": "And then?"}, headers=visitor(mine)
        ) as refused:
            problem = await refused.json(content_type="application/problem+json")
            headers = refused.headers
        assert (refused.status, problem["type"]) == (429, "urn:bitb-chatbot:problem:rate_limited")
        assert "the limit 'chat.session' is reached" in problem["detail"]
        assert problem["remedy"]
        assert 1 <= int(headers["Retry-After"]) <= 60
        assert headers["RateLimit-Policy"] == '"chat.session";q=2;w=60'
        assert headers["Access-Control-Allow-Origin"] == PAGE  # else the page could not read the refusal
        assert await ask_as(chatbot, **visitor(other)) == 200
        assert (await chatbot.ask("When is a refund possible?"))[0] == 200
        assert await chatbot.metric('rate_limited_total{route="chat",who="session"}') >= 1


def visitor(session: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['token']}", "Origin": PAGE}


async def test_processes_count_together(app_url: str, valkey_url: str) -> None:
    """What one process let in, another counts; the window slides in Redis."""
    async with limited(app_url, valkey_url, "read.ip=3/minute") as one:
        settings = settings_for(
            app_url, valkey_url, limits=parse_limits("read.ip=3/minute"), trusted_proxies=PROXY
        )
        async with served(settings, tenants=()) as other:
            found = [(await get(each, "203.0.113.9"))[0] for each in (one, other, one, other, one)]
        assert found == [200, 200, 200, 429, 429]


async def test_whom_another_process_has_used_the_room_of_pays_nothing(app_url: str, valkey_url: str) -> None:
    """Redis is asked while the question is looked up; its refusal comes before anything is counted or set aside."""
    limits = "chat.key=1/minute"
    async with limited(app_url, valkey_url, limits) as one:
        settings = settings_for(app_url, valkey_url, limits=parse_limits(limits), trusted_proxies=PROXY)
        async with served(settings, tenants=()) as other:
            assert (await one.ask("When is a refund possible?"))[0] == 200
            async with one.http.post(
                f"{other.url}/api/chat",
                json={"message": "Until when is a refund possible?"},
                headers={"X-Api-Key": one.keys["acme"]},
            ) as refused:
                assert refused.status == 429
        tenant_id, day = one.tenants["acme"].tenant_id, day_of(one.parts.clocks.wall())
        async with one.parts.database.tenant(tenant_id) as conn:
            assert (await usage_on(conn, tenant_id, day)).requests == 1


async def test_without_redis_the_local_counts_stand(app_url: str, valkey_url: str) -> None:
    """Redis gone: never an error, still a limit, and it is found again."""
    async with wire_to(valkey_url) as redis, limited(app_url, redis.url, "read.ip=3/minute") as chatbot:
        assert (await get(chatbot, "203.0.113.9"))[0] == 200
        await redis.cut()
        found = [(await get(chatbot, "203.0.113.9"))[0] for _ in range(4)]
        assert found == [200, 200, 429, 429]
        assert (await chatbot.metric("rate_limits_local")) == 1
        await redis.mend()
        chatbot.clock.fast_forward(60)
        assert (await get(chatbot, "203.0.113.10"))[0] == 200
        assert (await chatbot.metric("rate_limits_local")) == 0


async def test_a_redis_that_hangs_costs_one_request_its_time(app_url: str, valkey_url: str) -> None:
    """A dead Redis that says nothing at all: one waits for the time limit, the next hundred do not wait."""
    async with hanging(valkey_url) as wire:
        settings = settings_for(app_url, wire.url, limits=parse_limits(""))
        async with served(settings, tenants=()) as other:
            began = time.perf_counter()
            for _ in range(100):
                await limit(other.parts, Route.READ, {Who.IP: "203.0.113.9"})
            assert time.perf_counter() - began < 1.0


@asynccontextmanager
async def hanging(url: str) -> AsyncGenerator[Wire]:
    """Takes connections and never answers."""
    wire, taken = Wire(url), list[asyncio.StreamWriter]()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", wire.port)
    try:
        yield wire
    finally:
        server.close()
        for writer in taken:
            writer.transport.abort()
        await asyncio.sleep(0)  # the transports close at the loop's next turn
        await server.wait_closed()


A_LIMIT = Limit(route=Route.READ, who=Who.IP, amount=5, seconds=10)


@given(st.lists(st.floats(0, 30), max_size=60))
def test_the_local_count_refuses_nothing_that_a_sliding_window_lets_in(gaps: list[float]) -> None:
    """So it may be asked first."""
    counts, now, passed = LocalCounts(), 0.0, []
    for gap in sorted(gaps):
        now = gap
        in_window = [at for at in passed if now - at < A_LIMIT.seconds]
        if len(in_window) < A_LIMIT.amount:
            assert counts.take(A_LIMIT, "x", now) == 0
            passed.append(now)


def test_the_local_count_is_a_limit_and_says_how_long() -> None:
    """Beyond the amount it names the wait, and after it there is room for one."""
    counts = LocalCounts()
    assert [counts.take(A_LIMIT, "x", 0.0) for _ in range(5)] == [0] * 5
    wait = counts.take(A_LIMIT, "x", 0.0)
    assert wait == pytest.approx(2.0)
    assert counts.take(A_LIMIT, "x", wait) == 0
    assert counts.take(A_LIMIT, "x", wait) > 0


def test_the_local_count_is_bounded() -> None:
    """A flood of addresses cannot fill the memory."""
    counts = LocalCounts(most=10)
    for n in range(1000):
        counts.take(A_LIMIT, str(n), 0.0)
    assert len(counts) == 10


def test_only_one_tries_a_failed_redis_again() -> None:
    """After the pause one may; the others keep away until it has worked."""
    detour = Detour(2.0)
    detour.failed(0.0)
    assert [detour.may_try(now) for now in (0.0, 1.9, 2.0, 2.1)] == [False, False, True, False]
    detour.worked()
    assert detour.may_try(2.2)


def test_limits_are_read_and_faults_are_named() -> None:
    """Over the defaults; off one by one or all; anything else is named with what can be written."""
    limits = parse_limits("chat.session=5/hour read.ip=off")
    assert limits[Route.CHAT, Who.SESSION].seconds == 3600
    assert (Route.READ, Who.IP) not in limits
    assert parse_limits("off") == {}
    for wrong in (
        "chat.ip",
        "chat.ip=5",
        "chat.ip=0/minute",
        "chat.dog=5/minute",
        "moon.ip=5/minute",
        "chat.ip=5/week",
    ):
        with pytest.raises(ConfigError, match="CHATBOT_LIMITS"):
            parse_limits(wrong)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/api/chat", Route.CHAT),
        ("GET", "/api/admin/flags", Route.ADMIN),
        ("POST", "/api/documents", Route.UPLOAD),
        ("DELETE", "/api/documents/7", Route.UPLOAD),
        ("GET", "/api/documents", Route.READ),
        ("POST", "/api/sign-in", Route.SIGN_IN),
        ("GET", "/metrics", Route.READ),
    ],
)
def test_each_request_has_its_kind(method: str, path: str, route: Route) -> None:
    """As far as its head tells."""
    assert route_of(method, path) is route


async def test_a_refusal_says_which_limit(chatbot: Chatbot) -> None:
    """The name of the limit, its amount and its time."""
    chatbot.parts.counting.limits = parse_limits("sign_in.ip=1/hour")
    await limit(chatbot.parts, Route.SIGN_IN, {Who.IP: "203.0.113.9"})
    with pytest.raises(RateLimited, match=r"1 requests in 3600 s: the limit 'sign_in.ip'"):
        await limit(chatbot.parts, Route.SIGN_IN, {Who.IP: "203.0.113.9"})
