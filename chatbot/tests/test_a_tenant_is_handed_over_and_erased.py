"""Export and erasure go by the catalogue: a new table cannot be forgotten."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from bullmq import Queue
from psycopg import sql
from redis.asyncio import Redis

from chatbot.core.receipt import digest
from chatbot.store.catalogue import FACTS, PARAMETERS
from chatbot.store.holdings import KEPT, SECRETS
from chatbot_house import Chatbot, free_port, served, settings_for
from reception import PAGE, ask_as, join, widget_key
from tenant_rows import RowMaker


@pytest.fixture
def maker(superuser_url: str) -> Any:
    made = RowMaker.over(superuser_url)
    yield made
    made.conn.close()


def fill(maker: RowMaker, tenant_id: UUID) -> None:
    """A row in every tenant table of the catalogue, beside what the tenant has."""
    known = maker.conn.execute("SELECT * FROM tenants WHERE id = %s", (tenant_id,)).fetchone()
    assert known is not None
    maker.rows["tenants", tenant_id] = known
    for table in maker.tables:
        if table != "corpora":  # there is one already, and never two
            maker.row(table, tenant_id)


def tables_of(superuser_url: str) -> dict[str, str]:
    """Each tenant table and its key column, as the boot check sees them."""
    with psycopg.connect(superuser_url) as conn:
        facts = conn.execute(FACTS, PARAMETERS)
        names = [column.name for column in facts.description or ()]
        row = facts.fetchone()
    assert row is not None
    return {table["name"]: table["key"] for table in dict(zip(names, row, strict=True))["tables"]}


def rows_left(superuser_url: str, tenant_id: UUID) -> dict[str, int]:
    left: dict[str, int] = {}
    with psycopg.connect(superuser_url) as conn:
        for table, key in tables_of(superuser_url).items():
            statement = sql.SQL("SELECT count(*) FROM {} WHERE {} = %s").format(
                sql.Identifier(table), sql.Identifier(key)
            )
            found = conn.execute(statement, (tenant_id,)).fetchone()
            left[table] = found[0] if found else 0
    return left


async def download(chatbot: Chatbot, tenant: str) -> zipfile.ZipFile:
    headers = {"Authorization": "Bearer the-admin-token-of-the-tests"}
    url = f"{chatbot.url}/api/admin/tenants/{tenant}/export"
    async with chatbot.http.get(url, headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "application/zip")
        return zipfile.ZipFile(io.BytesIO(await answer.read()))


async def test_an_export_holds_every_row_and_no_secret(
    chatbot: Chatbot, maker: RowMaker, superuser_url: str, audit_rows: Callable[[str], list[Any]]
) -> None:
    """A file for each tenant table of the catalogue, acme's rows and nobody else's, without hashes."""
    await join(chatbot, "alice@example.com")
    await chatbot.ask("When is a refund possible?")
    acme, globex = (chatbot.tenants[name].tenant_id for name in ("acme", "globex"))
    fill(maker, acme)
    archive = await download(chatbot, "acme")
    tables = tables_of(superuser_url)
    assert {name.removesuffix(".jsonl") for name in archive.namelist()} == {*tables, "manifest.json"}
    left = rows_left(superuser_url, acme)
    for table, key in tables.items():
        rows = [json.loads(line) for line in archive.read(f"{table}.jsonl").splitlines()]
        # The export is itself audited, after it was made.
        assert len(rows) == left[table] - (table == "audit_logs"), table
        assert {row[key] for row in rows} == {str(acme)}, table
        assert all(not set(SECRETS) & set(row) for row in rows), table
    whole = b"".join(archive.read(name) for name in archive.namelist())
    assert b"30 days" in whole
    assert b"14 days" not in whole
    assert str(globex).encode() not in whole
    assert json.loads(archive.read("manifest.json"))["tenant"] == "acme"
    assert audit_rows("tenant_exported")[0][1] == "admin"


async def test_an_erased_tenant_leaves_nothing_but_the_log(
    chatbot: Chatbot,
    maker: RowMaker,
    superuser_url: str,
    valkey_url: str,
    audit_rows: Callable[[str], list[Any]],
) -> None:
    """Every tenant table of the catalogue, the cached answers and the queued jobs: none of acme's, all of globex's."""
    acme, globex = (chatbot.tenants[name].tenant_id for name in ("acme", "globex"))
    await join(chatbot, "alice@example.com")
    await widget_key(chatbot, PAGE)
    for tenant in (acme, globex):
        fill(maker, tenant)
    redis = Redis.from_url(valkey_url, decode_responses=True)
    queue = Queue("chatbot", {"connection": redis})
    for tenant in (acme, globex):
        await redis.set(f"chatbot:answer:{tenant}:digest", "an answer")
        await queue.add("ingest", {"tenant_id": str(tenant)}, {"jobId": f"ingest-{tenant}"})
    before = rows_left(superuser_url, globex)
    held = rows_left(superuser_url, acme)
    assert min(held.values()) > 0, held

    status, answer = await chatbot.admin("POST", "/tenants/acme/erase", {"confirm": "acme"})
    assert status == 200, answer
    left = rows_left(superuser_url, acme)
    assert {table for table, rows in left.items() if rows} == set(KEPT)
    assert rows_left(superuser_url, globex) == before
    assert await redis.keys(f"*{acme}*") == [f"chatbot:answers:mark:{acme}"]
    assert await redis.get(f"chatbot:answer:{globex}:digest") == "an answer"
    assert await redis.exists(f"bull:chatbot:ingest-{globex}") == 1
    await redis.flushdb()
    await queue.close()
    await redis.aclose()

    receipt = answer["receipt"]
    assert receipt["rows"] == {table: rows for table, rows in held.items() if table not in KEPT}
    assert receipt["shared"] == {"jobs": 1, "cached_answers": 1}
    said = {name: value for name, value in receipt.items() if name != "sha256"}
    assert receipt["sha256"] == digest(said)
    ((tenant_id, actor, detail),) = audit_rows("tenant_erased")
    assert (tenant_id, actor, detail["sha256"]) == (acme, "admin", receipt["sha256"])
    with psycopg.connect(superuser_url) as conn:
        row = conn.execute(
            "SELECT encode(hash, 'hex'), hash = audit_hash(audit_logs) FROM audit_logs WHERE id = %s",
            (answer["audit_entry"],),
        ).fetchone()
        kept = conn.execute("SELECT detail FROM audit_logs WHERE tenant_id = %s", (acme,)).fetchall()
    assert row == (answer["audit_hash"], True)
    assert "alice" not in str(kept)

    chatbot.clock.fast_forward(1)
    assert await ask_as(chatbot, X_Api_Key=chatbot.keys["acme"]) == 401
    assert await ask_as(chatbot, X_Api_Key=chatbot.keys["globex"]) == 200
    assert (await chatbot.admin("GET", "/tenants/acme"))[0] == 404
    assert (await chatbot.admin("POST", "/tenants", {"name": "acme"}))[0] == 201


async def test_a_process_that_knew_the_key_a_moment_ago_refuses_it_too(chatbot: Chatbot) -> None:
    """It believes a key for a second; what it would write has no tenant any more: 401 with the reason, not a fault."""
    assert await ask_as(chatbot, X_Api_Key=chatbot.keys["acme"]) == 200
    assert (await chatbot.admin("POST", "/tenants/acme/erase", {"confirm": "acme"}))[0] == 200
    status, _, problem = await chatbot.ask("When is a refund possible?")
    assert (status, problem["detail"]) == (401, "The key opens nothing any more: its tenant was erased.")
    headers = {"X-Api-Key": chatbot.keys["acme"], "Content-Type": "text/plain"}
    async with chatbot.http.post(
        f"{chatbot.url}/api/documents", params={"title": "a.txt"}, data=b"text", headers=headers
    ) as answer:
        assert answer.status == 401


async def test_an_erasure_wants_the_name_twice(chatbot: Chatbot, superuser_url: str) -> None:
    """With another name in the body nothing is erased."""
    status, problem = await chatbot.admin("POST", "/tenants/acme/erase", {"confirm": "globex"})
    assert (status, "nothing was erased" in problem["detail"]) == (400, True)
    assert rows_left(superuser_url, chatbot.tenants["acme"].tenant_id)["documents"] == 1


async def test_without_redis_nothing_is_erased_and_the_tenant_stays_closed(
    app_url: str, superuser_url: str
) -> None:
    """An erasure that cannot reach the queue deletes no row, says so, and may be asked for again."""
    async with served(settings_for(app_url, f"redis://127.0.0.1:{free_port()}/0")) as chatbot:
        status, problem = await chatbot.admin("POST", "/tenants/acme/erase", {"confirm": "acme"})
        assert (status, bool(problem["remedy"])) == (503, True)
        assert rows_left(superuser_url, chatbot.tenants["acme"].tenant_id)["documents"] == 1
        chatbot.clock.fast_forward(1)
        assert await ask_as(chatbot, X_Api_Key=chatbot.keys["acme"]) == 403
