"""The kill switch, and what else operators do with tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from chatbot.core.documents import RevisionRef
from chatbot.errors import QuotaReached
from chatbot.stages.ingest import ingest
from chatbot.stages.upload import upload
from chatbot.store.documents import due_revisions
from chatbot_house import Chatbot
from reception import PAGE, ask_as, bearer, call, enter, join, widget_key, widget_session


async def test_the_kill_switch_is_in_force_within_a_second_for_every_kind_of_caller(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Key, member and widget, each known to the process from a moment before, are refused with the reason, then let in."""
    await join(chatbot, "alice@example.com")
    _, tokens = await enter(chatbot, "alice@example.com")
    key = await widget_key(chatbot, PAGE)
    _, session = await widget_session(chatbot, key, PAGE)
    callers = (
        {"X_Api_Key": chatbot.keys["acme"]},
        {"Authorization": bearer(tokens["access_token"])},
        {"Authorization": bearer(session["token"]), "Origin": PAGE},
    )
    for headers in callers:
        assert await ask_as(chatbot, **headers) == 200
    status, change = await chatbot.admin("POST", "/tenants/acme/suspend", {"reason": "keys were published"})
    assert (status, change["changed"]) == (200, True)
    chatbot.clock.fast_forward(1)
    for headers in callers:
        assert await ask_as(chatbot, **headers) == 403
        _, problem = await call(chatbot, "GET", "/api/me", **headers)
        assert problem["type"].endswith("tenant_suspended")
        assert "keys were published" in problem["detail"]
    assert (await enter(chatbot, "alice@example.com"))[0] == 403
    assert (await enter(chatbot, "alice@example.com", password="not the right one"))[0] == 401
    assert (await widget_session(chatbot, key, PAGE))[0] == 403
    refresh = {"refresh_token": tokens["refresh_token"]}
    assert (await call(chatbot, "POST", "/api/sign-in/refresh", refresh))[0] == 403
    assert await ask_as(chatbot, X_Api_Key=chatbot.keys["globex"]) == 200
    assert audit_rows("tenant_suspended")[0][2]["reason"] == "keys were published"
    undo = change["undo"]
    await chatbot.admin(undo["method"], undo["path"].removeprefix("/api/admin"))
    for headers in callers:
        assert await ask_as(chatbot, **headers) == 200
    assert len(audit_rows("tenant_resumed")) == 1


async def test_documents_of_a_suspended_tenant_wait(chatbot: Chatbot) -> None:
    """A worker neither finds nor takes them; globex's are made meanwhile, and acme's when it is open again."""
    parts, clocks = chatbot.parts, chatbot.parts.clocks

    async def upload_to(tenant: str) -> RevisionRef:
        return await upload(
            parts.database, clocks, chatbot.tenants[tenant], title="hours.md", parts=[b"# Hours\n\nFrom nine."],
            media_type=None, actor="test",
        )  # fmt: skip

    acme, globex = await upload_to("acme"), await upload_to("globex")
    await chatbot.admin("POST", "/tenants/acme/suspend", {"reason": "a test"})
    async with parts.database.system() as conn:
        due = await due_revisions(conn, datetime.fromtimestamp(clocks.wall(), UTC), most=10)
    assert [ref.tenant_id for ref in due] == [globex.tenant_id]
    assert await ingest(parts, acme) is None
    assert await ingest(parts, globex) is not None
    await chatbot.admin("POST", "/tenants/acme/resume")
    assert await ingest(parts, acme) is not None


async def test_uploads_at_once_cannot_pass_the_quota(chatbot: Chatbot) -> None:
    """With room for one more document, one of four that come at the same moment is taken."""
    await chatbot.admin("PUT", "/tenants/acme/quotas", {"documents": 2})
    acme = chatbot.tenants["acme"]
    at_once = [
        upload(
            chatbot.parts.database, chatbot.parts.clocks, acme, title=f"{name}.md", parts=[b"text"],
            media_type=None, actor="test",
        )
        for name in "abcd"
    ]  # fmt: skip
    results = await asyncio.gather(*at_once, return_exceptions=True)
    assert sum(isinstance(result, QuotaReached) for result in results) == 3


async def test_a_suspension_needs_a_reason_and_is_told_once(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """A blank reason is refused; suspending what is suspended changes and records nothing."""
    assert (await chatbot.admin("POST", "/tenants/acme/suspend", {"reason": " "}))[0] == 400
    for changed in (True, False):
        _, change = await chatbot.admin("POST", "/tenants/acme/suspend", {"reason": "a test"})
        assert change["changed"] is changed
    assert len(audit_rows("tenant_suspended")) == 1
    assert (await chatbot.admin("POST", "/tenants/nowhere/suspend", {"reason": "a test"}))[0] == 404


async def test_operators_make_list_and_show_tenants(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """A tenant made over HTTP works at once; the list shows who is open; names are checked and taken once."""
    status, made = await chatbot.admin("POST", "/tenants", {"name": "initech"})
    assert status == 201
    assert await ask_as(chatbot, X_Api_Key=made["api_key"]) == 200
    assert audit_rows("tenant_created")[-1][1:] == ("admin", {"name": "initech", "key": made["prefix"]})
    assert (await chatbot.admin("POST", "/tenants", {"name": "initech"}))[0] == 409
    assert (await chatbot.admin("POST", "/tenants", {"name": "No Good"}))[0] == 400
    await chatbot.admin("POST", "/tenants/acme/suspend", {"reason": "a test"})
    _, listed = await chatbot.admin("GET", "/tenants")
    state = {each["name"]: each["suspended_reason"] for each in listed["tenants"]}
    assert state == {"acme": "a test", "globex": None, "initech": None}
    _, shown = await chatbot.admin("GET", "/tenants/acme")
    assert shown["suspended_reason"] == "a test"
    assert shown["quotas"]["tokens_per_day"] == 5_000_000


async def test_quotas_are_changed_with_a_way_back(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """What is set is in force and shown, the undo puts it back to the default, and both are audited."""
    _, change = await chatbot.admin("PUT", "/tenants/acme/quotas", {"tokens_per_day": 7, "members": 3})
    assert change["previous"] == {"tokens_per_day": None, "members": None}
    assert (await chatbot.admin("GET", "/tenants/acme"))[1]["quotas"]["tokens_per_day"] == 7
    undo = change["undo"]
    await chatbot.admin(undo["method"], undo["path"].removeprefix("/api/admin"), undo["body"])
    assert (await chatbot.admin("GET", "/tenants/acme"))[1]["quotas"]["tokens_per_day"] == 5_000_000
    assert [row[2]["changes"] for row in audit_rows("quotas_changed")] == [
        {"tokens_per_day": 7, "members": 3},
        {"tokens_per_day": None, "members": None},
    ]
    assert (await chatbot.admin("PUT", "/tenants/acme/quotas", {"tokens_per_day": -1}))[0] == 400
    assert (await chatbot.admin("PUT", "/tenants/acme/quotas", {}))[0] == 400


async def test_only_operators_reach_the_api_of_tenants(chatbot: Chatbot) -> None:
    """Without the operators' token nothing is told, not even whether there is such a tenant."""
    for path in (
        "/tenants",
        "/tenants/acme",
        "/tenants/nowhere",
        "/tenants/acme/members",
        "/tenants/acme/export",
    ):
        status, _ = await chatbot.admin("GET", path, token="wrong")
        assert status == 401, path
    status, _ = await chatbot.admin("POST", "/tenants/acme/erase", {"confirm": "acme"}, token="wrong")
    assert status == 401
    assert await ask_as(chatbot, X_Api_Key=chatbot.keys["acme"]) == 200
