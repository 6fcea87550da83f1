"""API keys for servers, publishable keys for pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

import guards
from chatbot.core.origins import check_origin
from chatbot.errors import BadRequest
from chatbot.stages import authenticate
from chatbot.stages.embed import may_embed
from chatbot_house import Chatbot
from reception import PAGE, ask_as, bearer, call, signed_in, widget_key, widget_session


async def test_a_tenant_has_several_keys_each_with_an_end(
    chatbot: Chatbot, superuser_url: str, audit_rows: Callable[[str], list[Any]]
) -> None:
    """An admin makes, lists and revokes keys; the text is shown once, and only its hash is stored."""
    carol = await signed_in(chatbot, "carol@example.com", role="admin")
    _, made = await call(chatbot, "POST", "/api/tenant/keys", {"name": "web shop"}, **carol)
    key = made["api_key"]
    assert await ask_as(chatbot, X_Api_Key=key) == 200
    assert await ask_as(chatbot, Authorization=bearer(key)) == 200
    _, listed = await call(chatbot, "GET", "/api/tenant/keys", **carol)
    shown = {each["name"]: each for each in listed["keys"]}
    assert set(shown) == {"first", "web shop"}
    assert shown["web shop"]["last_used_at"] is not None
    assert key not in str(listed)
    with psycopg.connect(superuser_url) as conn:
        assert key not in str(conn.execute("SELECT * FROM api_keys").fetchall())
    undo = made["undo"]
    assert (await call(chatbot, undo["method"], undo["path"], **carol))[0] == 204
    chatbot.clock.fast_forward(1)
    assert await ask_as(chatbot, X_Api_Key=key) == 401
    assert await ask_as(chatbot, X_Api_Key=chatbot.keys["acme"]) == 200
    assert [row[2]["key"] for row in audit_rows("api_key_revoked")] == [made["prefix"]]
    assert audit_rows("auth_failure")[-1][0] == chatbot.tenants["acme"].tenant_id
    assert (await call(chatbot, "DELETE", "/api/tenant/keys/00000000", **carol))[0] == 404


async def test_a_key_ends_at_its_time(chatbot: Chatbot) -> None:
    """A key with an end is refused from then on, also by a process that knew it a moment before."""
    now = datetime.fromtimestamp(chatbot.parts.clocks.wall(), UTC)
    past = {"name": "past", "expires_at": (now - timedelta(seconds=1)).isoformat()}
    assert (await chatbot.admin("POST", "/tenants/acme/keys", past))[0] == 400
    body = {"name": "a day", "expires_at": (now + timedelta(days=1)).isoformat()}
    _, made = await chatbot.admin("POST", "/tenants/acme/keys", body)
    assert await ask_as(chatbot, X_Api_Key=made["api_key"]) == 200
    chatbot.clock.fast_forward(86400 - 10)
    assert await ask_as(chatbot, X_Api_Key=made["api_key"]) == 200
    chatbot.clock.fast_forward(11)
    assert await ask_as(chatbot, X_Api_Key=made["api_key"]) == 401


async def test_a_known_key_is_not_looked_up_again_within_a_second(
    chatbot: Chatbot, superuser_url: str
) -> None:
    """The promise of a second has two sides: the database is not asked each time, and never later than that."""
    assert await ask_as(chatbot, X_Api_Key=chatbot.keys["acme"]) == 200
    with psycopg.connect(superuser_url) as conn:
        conn.execute("UPDATE api_keys SET revoked_at = now()")
    assert (await call(chatbot, "GET", "/api/me", X_Api_Key=chatbot.keys["acme"]))[0] == 200
    chatbot.clock.fast_forward(1)
    assert (await call(chatbot, "GET", "/api/me", X_Api_Key=chatbot.keys["acme"]))[0] == 401


async def test_those_who_use_a_key_at_once_have_it_looked_up_together(
    chatbot: Chatbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its second is over, sixty at once are not sixty ways to the database; nor sixty notes of when it was used."""
    done: list[str] = []
    for name in ("owner_of_key", "note_use"):
        real: Callable[..., Awaitable[Any]] = getattr(authenticate, name)

        async def counted(*given: Any, real: Any = real, name: str = name, **named: Any) -> Any:
            done.append(name)
            return await real(*given, **named)

        monkeypatch.setattr(authenticate, name, counted)
    chatbot.clock.fast_forward(61)
    key = chatbot.keys["acme"]
    found = await asyncio.gather(*(call(chatbot, "GET", "/api/me", X_Api_Key=key) for _ in range(60)))
    assert {status for status, _ in found} == {200}
    assert 1 <= done.count("owner_of_key") <= 10
    assert 1 <= done.count("note_use") <= 10


async def test_a_page_whose_origin_is_listed_gets_a_session_and_asks(chatbot: Chatbot) -> None:
    """The widget of acme's shop gets a session id that the server chose, and answers from acme's documents."""
    key = await widget_key(chatbot, PAGE)
    status, session = await widget_session(chatbot, key, PAGE)
    assert (status, session["expires_in"]) == (201, 1800)
    headers = {"Authorization": bearer(session["token"]), "Origin": PAGE}
    _, me = await call(chatbot, "GET", "/api/me", **headers)
    assert (me["kind"], me["tenant"], me["origin"]) == ("widget_session", "acme", PAGE)
    assert me["session_id"] == session["session_id"]
    assert await ask_as(chatbot, **headers) == 200
    assert (await widget_session(chatbot, key, PAGE))[1]["session_id"] != session["session_id"]
    chatbot.clock.fast_forward(1801)
    assert await ask_as(chatbot, **headers) == 401


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://shop.example.com", "https://shop.example.com:8443", "https://shop.example.com.evil.test",
     "https://evil.test", "https://example.com", "https://sub.shop.example.com", "https://SHOP.example.com/",
     "https://shop.example.com/path"],
)  # fmt: skip
async def test_an_origin_that_is_not_listed_is_refused(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]], origin: str | None
) -> None:
    """Scheme, host and port are compared exactly, for a new session and for the one that a token names."""
    key = await widget_key(chatbot, PAGE)
    status, problem = await widget_session(chatbot, key, origin)
    assert (status, bool(problem["remedy"])) == (403, True)
    assert audit_rows("auth_failure")[-1][0] == chatbot.tenants["acme"].tenant_id
    _, session = await widget_session(chatbot, key, PAGE)
    assert await ask_as(chatbot, Authorization=bearer(session["token"]), Origin=origin) == 401


async def test_a_session_is_good_at_the_origin_that_began_it_only(chatbot: Chatbot) -> None:
    """Two shops are listed; what one page was given is nothing on the other's, nor without a page."""
    other = "https://other.example.com"
    key = await widget_key(chatbot, PAGE, other)
    _, session = await widget_session(chatbot, key, PAGE)
    token = bearer(session["token"])
    assert await ask_as(chatbot, Authorization=token, Origin=PAGE) == 200
    assert await ask_as(chatbot, Authorization=token, Origin=other) == 401
    assert await ask_as(chatbot, Authorization=token) == 401


async def test_a_key_without_origins_lets_nobody_in(chatbot: Chatbot) -> None:
    """Deny by default: an empty list is nowhere, not everywhere."""
    key = await widget_key(chatbot)
    assert (await widget_session(chatbot, key, PAGE))[0] == 403
    assert (await widget_session(chatbot, "pk_unknown", PAGE))[0] == 401


async def test_an_origin_taken_off_the_list_ends_its_sessions_within_a_second(chatbot: Chatbot) -> None:
    """The list is asked again at every second, not only when the session began; the undo puts the origin back."""
    key = await widget_key(chatbot, PAGE)
    _, session = await widget_session(chatbot, key, PAGE)
    headers = {"Authorization": bearer(session["token"]), "Origin": PAGE}
    assert await ask_as(chatbot, **headers) == 200
    path = f"/tenants/acme/widget-keys/{key}"
    _, change = await chatbot.admin("PUT", f"{path}/origins", {"origins": ["https://www.example.com"]})
    chatbot.clock.fast_forward(1)
    assert await ask_as(chatbot, **headers) == 401
    undo = change["undo"]
    await chatbot.admin(undo["method"], undo["path"].removeprefix("/api/admin"), undo["body"])
    assert await ask_as(chatbot, **headers) == 200
    await chatbot.admin("DELETE", path)
    chatbot.clock.fast_forward(1)
    assert await ask_as(chatbot, **headers) == 401
    assert (await widget_session(chatbot, key, PAGE))[0] == 401


async def test_a_widget_may_ask_and_nothing_else(chatbot: Chatbot) -> None:
    """A visitor's token opens the chat, not the tenant's affairs."""
    key = await widget_key(chatbot, PAGE)
    _, session = await widget_session(chatbot, key, PAGE)
    headers = {"Authorization": bearer(session["token"]), "Origin": PAGE}
    for path in ("/api/tenant", "/api/tenant/members", "/api/tenant/keys", "/api/tenant/widget-keys"):
        assert (await call(chatbot, "GET", path, **headers))[0] == 403
    assert (await call(chatbot, "POST", "/api/sign-out", **headers))[0] == 403


async def test_a_preflight_is_answered_by_the_lists_of_all_tenants(chatbot: Chatbot) -> None:
    """An origin is known while any key in force of an open tenant names it."""
    key = await widget_key(chatbot, PAGE)
    assert await may_embed(chatbot.parts, PAGE)
    assert not await may_embed(chatbot.parts, "https://evil.test")
    await chatbot.admin("POST", "/tenants/acme/suspend", {"reason": "not paid"})
    assert not await may_embed(chatbot.parts, PAGE)
    await chatbot.admin("POST", "/tenants/acme/resume")
    await chatbot.admin("DELETE", f"/tenants/acme/widget-keys/{key}")
    assert not await may_embed(chatbot.parts, PAGE)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("https://Example.COM", "https://example.com"), ("https://example.com:443/", "https://example.com"),
     ("http://localhost:3000", "http://localhost:3000"), ("http://example.com:80", "http://example.com"),
     ("https://bücher.example", "https://xn--bcher-kva.example"), ("http://[::1]:8080", "http://[::1]:8080")],
)  # fmt: skip
def test_an_origin_is_kept_as_a_browser_sends_it(given: str, kept: str) -> None:
    """Lower case, no default port, no slash, names in their ASCII form."""
    assert check_origin(given) == kept


@pytest.mark.parametrize(
    "bad",
    ["", "example.com", "https://*.example.com", "*", "https://", "ftp://example.com", "https://example.com/shop",
     "https://user@example.com", "https://example.com?x", "null", "https://example.com:99999", "https://a b.example",
     "javascript:alert(1)"],
)  # fmt: skip
async def test_what_is_no_origin_is_refused(chatbot: Chatbot, bad: str) -> None:
    """Wildcards, paths, users and other schemes are refused with an example, and no key is made."""
    with pytest.raises(BadRequest):
        check_origin(bad)
    body = {"name": "shop", "origins": [PAGE, bad]}
    status, problem = await chatbot.admin("POST", "/tenants/acme/widget-keys", body)
    assert (status, bool(problem["remedy"])) == (400, True)
    assert (await chatbot.admin("GET", "/tenants/acme/widget-keys"))[1]["widget_keys"] == []


guards.install(globals())
