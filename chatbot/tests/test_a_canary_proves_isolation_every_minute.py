"""The prober: a leak on any path is a violation within a minute, and a prober that proves nothing says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg import sql

import guards
from chatbot.core.canary import ASKER, KEEPER
from chatbot.core.tenancy import TenantId, check_tenant_name
from chatbot.errors import BadRequest, NotFound
from chatbot.integrations import answer_cache
from chatbot.stages.ports import Outside
from chatbot.stages.probe import PATHS, Result, probe_isolation
from chatbot.stages.tell import tell_responder
from chatbot.store.tenants import all_tenants, known_tenants, tenant_of_name
from chatbot.web.background import run_loops
from chatbot.web.drain import Drain
from chatbot_house import Chatbot

HELD = dict.fromkeys(PATHS, Result.HELD)
# What opens one path to the asker, and nothing else.
LEAKS = {
    "policies": "ALTER POLICY tenant ON passages USING (true)",
    "retrieval": "ALTER TABLE passages DISABLE ROW LEVEL SECURITY; ALTER TABLE documents DISABLE ROW LEVEL SECURITY",
    "conversation": "ALTER TABLE conversations DISABLE ROW LEVEL SECURITY",
}


async def test_every_path_holds(chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]) -> None:
    """On a sound system each path is held, round after round, and the secret is planted once."""
    assert await probe_isolation(chatbot.parts) == HELD
    assert await probe_isolation(chatbot.parts) == HELD
    assert audit_rows("tenant_isolation_violation") == []
    assert [actor for _, actor, _ in audit_rows("document_added")].count("canary") == 1


@pytest.mark.parametrize("path", ["policies", "conversation"])
async def test_a_leak_is_a_violation(
    chatbot: Chatbot, superuser_url: str, audit_rows: Callable[[str], list[Any]], path: str
) -> None:
    """A policy that was weakened while the service runs, after its boot check, is found in the next round."""
    assert await probe_isolation(chatbot.parts) == HELD
    with psycopg.connect(superuser_url) as conn:
        conn.execute(LEAKS[path])  # pyright: ignore[reportCallIssue,reportArgumentType]
    results = await probe_isolation(chatbot.parts)
    # The literal WHERE still holds on the other paths; the policies alone do not.
    assert results["policies"] is Result.LEAKED
    rows = audit_rows("tenant_isolation_violation")
    assert rows
    tenant, actor, detail = rows[0]
    assert (tenant, actor) == (ASKER.tenant_id, "canary")
    assert (detail["source"], detail["path"], detail["foreign"]) == (
        "canary",
        "policies",
        [str(KEEPER.tenant_id)],
    )
    await tell_responder(chatbot.parts)


async def test_a_search_that_leaks_is_found(chatbot: Chatbot, superuser_url: str) -> None:
    """When policies and WHERE are both gone, the detector on the path withholds what the canary asks for."""
    assert await probe_isolation(chatbot.parts) == HELD
    with psycopg.connect(superuser_url) as conn:
        conn.execute(LEAKS["retrieval"])  # pyright: ignore[reportCallIssue,reportArgumentType]
        conn.execute(guards.SEARCH_WITHOUT_TENANT)  # pyright: ignore[reportCallIssue,reportArgumentType]
    assert (await probe_isolation(chatbot.parts))["retrieval"] is Result.LEAKED


async def test_a_cache_whose_key_lacks_the_tenant_is_found(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One key for all tenants: the canary gets the other's answer, and raises the alarm."""
    monkeypatch.setattr(answer_cache, "_key", lambda _, digest: f"chatbot:answer:{digest}")
    assert (await probe_isolation(chatbot.parts))["cache"] is Result.LEAKED
    assert audit_rows("tenant_isolation_violation")[0][2]["path"] == "cache"


async def test_a_job_that_another_could_take_is_found(chatbot: Chatbot, superuser_url: str) -> None:
    """When the policies of documents and revisions are gone, whoever names the keeper's document would get it."""
    assert await probe_isolation(chatbot.parts) == HELD
    with psycopg.connect(superuser_url) as conn:
        for table in ("documents", "revisions", "tenants"):
            conn.execute(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(sql.Identifier(table)))
    assert (await probe_isolation(chatbot.parts))["job"] is Result.LEAKED


async def test_a_prober_that_finds_nothing_says_that_it_is_broken(
    chatbot: Chatbot, superuser_url: str, audit_rows: Callable[[str], list[Any]]
) -> None:
    """When not even its own tenant finds the secret, that is no violation, and no proof either: it is counted and logged."""
    broken = {"path": "retrieval", "result": "broken"}
    before = REGISTRY.get_sample_value("isolation_probes_total", broken) or 0
    with psycopg.connect(superuser_url) as conn:
        conn.execute("CREATE POLICY blind ON passages AS RESTRICTIVE FOR SELECT TO chatbot_app USING (false)")
    assert (await probe_isolation(chatbot.parts))["retrieval"] is Result.BROKEN
    assert REGISTRY.get_sample_value("isolation_probes_total", broken) == before + 1
    assert audit_rows("tenant_isolation_violation") == []


async def test_a_lost_secret_is_planted_again(chatbot: Chatbot, superuser_url: str) -> None:
    """Whoever deletes the canary's document has it back in the next round."""
    assert await probe_isolation(chatbot.parts) == HELD
    with psycopg.connect(superuser_url) as conn:
        conn.execute("DELETE FROM documents WHERE tenant_id = %s", (KEEPER.tenant_id,))
    assert await probe_isolation(chatbot.parts) == HELD


async def test_the_server_probes_by_itself(chatbot: Chatbot) -> None:
    """The loop of the server goes round without being asked, and shows when it did."""
    before = REGISTRY.get_sample_value("isolation_probe_timestamp_seconds") or 0
    running = asyncio.create_task(run_loops(chatbot.parts, Drain(timedelta(seconds=1))))
    try:
        async with asyncio.timeout(15):
            while (REGISTRY.get_sample_value("isolation_probe_timestamp_seconds") or 0) <= before:
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_the_canaries_are_hidden(chatbot: Chatbot) -> None:
    """No list shows them, no name finds them, and nobody can take their names."""
    await probe_isolation(chatbot.parts)
    reserved = {KEEPER.tenant_id, ASKER.tenant_id}
    assert reserved.isdisjoint(await _listed(chatbot.parts))
    for canary in (KEEPER, ASKER):
        with pytest.raises(NotFound):
            await tenant_of_name(chatbot.parts.database, canary.name)
        with pytest.raises(BadRequest):
            check_tenant_name(canary.name)


async def _listed(parts: Outside) -> set[TenantId]:
    listed = {state.tenant.tenant_id for state in await all_tenants(parts.database)}
    return listed | set(await known_tenants(parts.database, most=1000))


guards.install(globals())
