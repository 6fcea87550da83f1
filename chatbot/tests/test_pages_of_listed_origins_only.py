"""CORS by widget origin, hosts, redirects, heads and bodies that do not end."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from starlette.types import Message

from chatbot.web import middleware
from chatbot.web.middleware import Guarded, Observed
from chatbot.web.problems import of_error
from chatbot_house import Chatbot, served, settings_for
from reception import PAGE, widget_key, widget_session

FOREIGN = "https://evil.example.com"


async def preflight(chatbot: Chatbot, origin: str, path: str = "/api/chat") -> Any:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with chatbot.http.options(f"{chatbot.url}{path}", headers=headers) as answer:
        return answer.status, answer.headers


async def test_a_listed_page_may_ask_and_another_may_not(chatbot: Chatbot) -> None:
    """The preflight names the listed origin and nothing else; a foreign one gets 403 and no permission."""
    key = await widget_key(chatbot, PAGE)
    status, headers = await preflight(chatbot, PAGE)
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, PAGE)
    assert "Origin" in headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in headers
    for origin in (
        FOREIGN,
        "null",
        "*",
        "https://shop.example.com.evil.com",
        "HTTPS://SHOP.EXAMPLE.COM",
        "x" * 5000,
    ):
        status, headers = await preflight(chatbot, origin)
        assert (status, "Access-Control-Allow-Origin" in headers) == (403, False)
    status, session = await widget_session(chatbot, key, PAGE)
    assert status == 201
    sent = {"Origin": PAGE, "Authorization": f"Bearer {session['token']}"}
    async with chatbot.http.post(
        f"{chatbot.url}/api/chat", json={"message": "When?"}, headers=sent
    ) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE)


async def test_an_origin_taken_from_the_list_loses_its_permission_within_a_second(chatbot: Chatbot) -> None:
    """As with everything about keys."""
    key = await widget_key(chatbot, PAGE)
    assert (await preflight(chatbot, PAGE))[0] == 204
    path = f"/tenants/acme/widget-keys/{key}/origins"
    assert (await chatbot.admin("PUT", path, {"origins": []}))[0] == 200
    chatbot.clock.fast_forward(1.1)
    assert (await preflight(chatbot, PAGE))[0] == 403


@pytest.mark.parametrize("path", ["/api/admin/flags", "/api/sign-in", "/api/documents"])
async def test_only_the_widgets_calls_are_open_to_other_origins(chatbot: Chatbot, path: str) -> None:
    """Even a listed page gets no permission for anything else."""
    await widget_key(chatbot, PAGE)
    _, headers = await preflight(chatbot, PAGE, path)
    assert "Access-Control-Allow-Origin" not in headers


async def test_a_foreign_host_is_refused_where_hosts_are_named(app_url: str, valkey_url: str) -> None:
    """421 for a Host header that is not ours; probes are answered at any name."""
    settings = settings_for(app_url, valkey_url, allowed_hosts=frozenset({"chat.example.com", "[::1]"}))
    async with served(settings, tenants=()) as chatbot:
        found = {}
        for host in (
            "chat.example.com",
            "CHAT.example.com:8801",
            "[::1]:80",
            "[::1]",
            "evil.com",
            "chat.example.com.evil.com",
            "",
        ):
            async with chatbot.http.get(f"{chatbot.url}/openapi.json", headers={"Host": host}) as answer:
                found[host] = answer.status
        assert list(found.values()) == [200, 200, 200, 200, 421, 421, 421]
        async with chatbot.http.get(f"{chatbot.url}/livez", headers={"Host": "10.0.0.7:8801"}) as answer:
            assert answer.status == 200


async def test_no_answer_sends_anybody_elsewhere(chatbot: Chatbot) -> None:
    """A trailing slash is not found instead of a redirect to whatever Host was written."""
    for path in ("/api/chat/", "//evil.com/api/chat", "/api/documents/", "/livez/"):
        async with chatbot.http.get(
            f"{chatbot.url}{path}", headers={"Host": "evil.com"}, allow_redirects=False
        ) as answer:
            assert (answer.status in {404, 405, 401, 400}, "Location" in answer.headers) == (True, False)


async def test_every_answer_has_its_security_headers(chatbot: Chatbot) -> None:
    """Refusals too."""
    for path in ("/livez", "/nowhere", "/api/admin/flags", "/metrics"):
        async with chatbot.http.get(f"{chatbot.url}{path}") as answer:
            for name in middleware.SECURITY_HEADERS:
                assert name in answer.headers, (path, name)


async def test_a_body_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """408 after the time for bodies, by an application that reads one."""
    monkeypatch.setattr(middleware, "BODY_TIME", 0.02)
    sent: list[Message] = []
    statuses: list[int] = []

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        from starlette.exceptions import HTTPException

        from chatbot.errors import BadRequest

        try:
            while (await receive())["more_body"]:
                pass
        except HTTPException as error:
            statuses.append(error.status_code)
            await of_error(BadRequest(error.detail))(scope, receive, send)

    pieces = iter([{"type": "http.request", "body": b"x", "more_body": True}])

    async def receive() -> Message:
        for piece in pieces:
            return piece
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/chat", "headers": []}
    await Observed(Guarded(reads))(scope, receive, send)
    assert (statuses, sent[0]["type"]) == ([408], "http.response.start")


def test_settings_name_their_hosts() -> None:
    """Lower case, apart by commas."""
    from chatbot.config import load_settings

    environ = {
        "CHATBOT_DATABASE_URL": "postgresql://a:b@127.0.0.1/c",
        "CHATBOT_REDIS_URL": "redis://127.0.0.1",
        "CHATBOT_ADMIN_TOKEN": "x" * 32,
        "CHATBOT_SIGNING_KEYS": "k" * 64,
        "CHATBOT_ALLOWED_HOSTS": "Chat.Example.com, [::1]",
    }
    assert dataclasses.asdict(load_settings(environ))["allowed_hosts"] == {"chat.example.com", "[::1]"}
