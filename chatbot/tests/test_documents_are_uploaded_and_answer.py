"""A tenant's documents, from upload to answer, over HTTP, with the worker's part done at once or by a worker."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from chatbot.core.documents import LARGEST_DOCUMENT, LEASE, MOST_ATTEMPTS, Event, RevisionRef, Source
from chatbot.stages.ingest import ingest
from chatbot.stages.ports import Outside
from chatbot.stages.sweep import sweep
from chatbot.store.corpora import NOTHING, corpus_of
from chatbot.store.documents import begin_revision, due_revisions, take
from chatbot.store.passages import Ids, Search, best_passages
from chatbot_house import Chatbot, free_port, served, settings_for


@pytest.fixture
async def bot(app_url: str, valkey_url: str) -> AsyncGenerator[Chatbot]:
    """Without any provider: the passages themselves answer."""
    async with served(settings_for(app_url, valkey_url)) as running:
        yield running


async def put(
    bot: Chatbot, title: str, content: bytes, *, kind: str = "", tenant: str = "acme"
) -> tuple[int, dict[str, Any]]:
    headers = {"X-Api-Key": bot.keys[tenant], "Content-Type": kind}
    async with bot.http.post(
        f"{bot.url}/api/documents", params={"title": title}, data=io.BytesIO(content), headers=headers
    ) as answer:
        return answer.status, await answer.json(content_type=None)


async def work(bot: Chatbot) -> list[Event | None]:
    """What a worker would do now, once."""
    async with bot.parts.database.system() as conn:
        due = await due_revisions(conn, _now(bot), most=100)
    return [await ingest(bot.parts, ref) for ref in due]


def _now(bot: Chatbot) -> Any:
    from chatbot.stages.ports import now_of

    return now_of(bot.parts.clocks)


async def status_of(bot: Chatbot, document: str) -> dict[str, Any]:
    status, body = await bot.call("GET", f"/api/documents/{document}")
    assert status == 200
    return body


async def answer_to(bot: Chatbot, question: str) -> str:
    status, events, problem = await bot.ask(question)
    assert status == 200, problem
    return " ".join(source["text"] for source in events[0][1]["sources"])


async def test_an_upload_is_queued_and_then_answers(bot: Chatbot) -> None:
    """202 with status queued; once a worker was there it is ready, counted, and what is asked is found in it."""
    status, body = await put(bot, "pump.md", b"# Pump\n\nThe pump has to be oiled every spring.\n")
    assert (status, body["status"], body["revision"], body["live_revision"]) == (202, "queued", 1, None)
    assert await work(bot) == [Event.EMBEDDED]
    ready = await status_of(bot, body["id"])
    assert (ready["status"], ready["passages"], ready["live_revision"]) == ("ready", 1, 1)
    # No word is shared but the meaning is.
    assert "oiled every spring" in await answer_to(bot, "When do I lubricate my machine that moves water?")
    _, listed = await bot.call("GET", "/api/documents")
    assert [each["title"] for each in listed["documents"]] == ["policy.md", "pump.md"]


async def test_a_new_revision_takes_over_only_when_it_is_ready(bot: Chatbot) -> None:
    """Until then the old one answers; a new one that fails leaves it; afterwards nothing of the old one is left."""
    _, first = await put(bot, "hours.md", b"The shop opens at nine.")
    await work(bot)
    _, second = await put(bot, "hours.md", b"The shop opens at seven.")
    assert second["id"] == first["id"]
    assert "nine" in await answer_to(bot, "When does the shop open?")
    await work(bot)
    told = await answer_to(bot, "When does the shop open?")
    assert "seven" in told
    assert "nine" not in told
    await put(bot, "hours.md", b"PK\x03\x04 not a text at all")
    assert await work(bot) == [Event.FAIL]
    failed = await status_of(bot, first["id"])
    assert (failed["status"], failed["revision"], failed["live_revision"]) == ("failed", 3, 2)
    assert "ZIP archive" in failed["reason"]
    assert "seven" in await answer_to(bot, "When does the shop open?")


async def test_both_searches_count_in_the_order_of_the_passages(bot: Chatbot) -> None:
    """Each passage has the sum of its reciprocal ranks, 60 added to each; of two with one sum, the one that led a search leads."""
    text = "".join(
        f"# Part {number}\n\nOf {word}s.\n\n"
        for number, word in enumerate(("refund", "shoe", "train", "bee"))
    )
    await put(bot, "parts.md", text.encode())
    await work(bot)
    tenant, (vector,) = bot.tenants["acme"].tenant_id, await bot.parts.embedder.embed(["refund"])

    async def order(worded: Sequence[UUID], limit: int = 40) -> list[UUID]:
        ids = Ids(f"{{{','.join(map(str, worded))}}}")
        search = Search(vector=vector, worded=ids, corpus=NOTHING, limit=limit)
        found = await best_passages(bot.parts.database, tenant, search)
        return [passage.passage_id for passage in found]

    near = await order(())
    assert len(near) >= 4
    worded = [near[3], near[1]]
    ranks = [{each: rank for rank, each in enumerate(ranking, start=1)} for ranking in (near, worded)]
    score = {each: sum(1 / (60 + rank[each]) for rank in ranks if each in rank) for each in near}
    assert await order(worded) == sorted(near, key=lambda each: (-score[each], near.index(each)))
    assert await order(worded, limit=1) == [near[1]]
    stranger = uuid4()
    assert await order([stranger]) == near


async def test_a_deleted_document_answers_no_more(bot: Chatbot, superuser_url: str) -> None:
    """Its passages, bytes and revisions are gone, and the corpus has another revision, which voids kept answers."""
    _, body = await put(bot, "secret.md", b"The safe is behind the picture.")
    await work(bot)
    tenant = bot.tenants["acme"].tenant_id
    async with bot.parts.database.tenant(tenant) as conn:
        before = await corpus_of(conn, tenant)
    assert (await bot.call("DELETE", f"/api/documents/{body['id']}"))[0] == 204
    async with bot.parts.database.tenant(tenant) as conn:
        after = await corpus_of(conn, tenant)
    assert (after.revision, after.passages) == (before.revision + 1, before.passages - 1)
    assert "picture" not in await answer_to(bot, "Where is the safe, and how are refunds made?")
    with psycopg.connect(superuser_url) as conn:
        for table in ("passages", "revisions", "uploads"):
            query = sql.SQL("SELECT 1 FROM {} WHERE document_id = %s").format(sql.Identifier(table))
            left = conn.execute(query, (UUID(body["id"]),)).fetchall()
            assert left == []
    assert (await bot.call("GET", f"/api/documents/{body['id']}"))[0] == 404
    assert (await bot.call("DELETE", f"/api/documents/{body['id']}"))[0] == 404


async def test_another_tenants_document_is_not_there(bot: Chatbot) -> None:
    """Globex neither sees nor deletes it: the answer is that of an id that never was."""
    _, body = await put(bot, "mine.md", b"Of acme alone.")
    for method in ("GET", "DELETE"):
        found = await bot.call(method, f"/api/documents/{body['id']}", tenant="globex")
        never = await bot.call(method, f"/api/documents/{uuid4()}", tenant="globex")
        assert (found[0], found[1]["type"]) == (never[0], never[1]["type"]) == (404, found[1]["type"])
    assert (await status_of(bot, body["id"]))["status"] == "queued"


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"\xff\xfe\x00\xd8x\x00", "text/plain", "no text"),
        (b"caf\xe9 au lait", "text/plain", "not UTF-8"),
        (b"ab\x00cd", "", "zero bytes"),
        (b"\x1f\x8b\x08\x00aaaa", "text/html", "gzip"),
        (b"no pdf at all", "application/pdf", "does not begin with %PDF-"),
        (b"%PDF-1.7\n%nothing follows", "application/pdf", "malformed"),
        (b" \n\t\n", "text/markdown", "no text"),
        (b"<html><body><script>alert(1)</script></body></html>", "text/html", "no text"),
    ],
)
async def test_a_poison_document_fails_alone_with_its_reason(
    bot: Chatbot, content: bytes, kind: str, words: str
) -> None:
    """What cannot be read fails with a reason that a person understands; the one beside it is ready all the same."""
    _, poison = await put(bot, "poison", content, kind=kind)
    _, good = await put(bot, "good.md", b"Good morning.")
    await work(bot)
    failed = await status_of(bot, poison["id"])
    assert (failed["status"], failed["passages"]) == ("failed", 0)
    assert words in failed["reason"]
    assert (await status_of(bot, good["id"]))["status"] == "ready"


async def test_what_is_empty_too_large_or_of_another_kind_is_refused_at_the_door(bot: Chatbot) -> None:
    """Nothing is kept of it, and the refusal says what to do."""
    assert (await put(bot, "empty.md", b""))[0] == 400
    assert (await put(bot, "\x01 \n", b"x"))[0] == 400
    status, problem = await put(bot, "table.xls", b"x", kind="application/vnd.ms-excel")
    assert (status, "application/pdf" in problem["remedy"]) == (400, True)
    assert (await put(bot, "large.txt", b"x" * (LARGEST_DOCUMENT + 1)))[0] == 413
    _, listed = await bot.call("GET", "/api/documents")
    assert [each["title"] for each in listed["documents"]] == ["policy.md"]


async def test_without_redis_an_upload_is_accepted_and_found_later(app_url: str, valkey_url: str) -> None:
    """The row is the truth: with Redis gone it waits in PostgreSQL, and the sweep queues it once Redis is back."""
    gone = f"redis://127.0.0.1:{free_port()}/0"
    async with served(settings_for(app_url, gone)) as bot:
        status, body = await put(bot, "later.md", b"Sooner or later.")
        assert (status, body["status"]) == (202, "queued")
    from chatbot.bootstrap import outside

    async with outside(settings_for(app_url, valkey_url)) as parts:
        await parts.database.verify()
        assert await sweep(parts) == 1
        assert await sweep(parts) == 1  # known to the queue by now: not queued twice
        assert (await parts.jobs.state()).depth["waiting"] == 1
        await _forget_queue(parts)


async def _forget_queue(parts: Outside) -> None:
    from redis.asyncio import Redis

    client: Redis = parts.jobs._client  # type: ignore[attr-defined]
    for key in await client.keys("bull:*"):
        await client.delete(key)


class Broken:
    """An embedding service that is out of order."""

    name = "broken"

    def __init__(self, healthy: Any) -> None:
        self.tokens = healthy.tokens

    async def embed(self, texts: Any) -> Any:
        raise RuntimeError("a fault that nobody foresaw")


async def test_a_fault_of_ours_is_tried_again_and_in_the_end_told(bot: Chatbot) -> None:
    """Each attempt waits longer; the reason is visible meanwhile; after the last one the document fails with it."""
    _, body = await put(bot, "patient.md", b"Patience.")
    healthy = bot.parts
    bot.parts = replace(healthy, embedder=Broken(healthy.embedder))
    for attempt in range(1, MOST_ATTEMPTS):
        assert await work(bot) == [Event.RETRY]
        seen = await status_of(bot, body["id"])
        assert (seen["status"], seen["attempt"]) == ("queued", attempt)
        assert "The program failed" in seen["reason"]
        assert await work(bot) == []  # not due yet
        bot.clock.fast_forward(2 * 4 ** (attempt - 1) + 1)
    assert await work(bot) == [Event.FAIL]
    assert f"Tried {MOST_ATTEMPTS} times" in (await status_of(bot, body["id"]))["reason"]


async def test_a_worker_that_died_in_the_middle_is_followed_by_another(bot: Chatbot) -> None:
    """Its lease runs out, the work begins anew, and what the dead one would still do is refused."""
    _, body = await put(bot, "long.md", b"A long story.")
    tenant = bot.tenants["acme"].tenant_id
    ref = RevisionRef(tenant_id=tenant, document_id=UUID(body["id"]), revision=1)
    async with bot.parts.database.tenant(tenant) as conn:
        dead = await take(conn, ref, _now(bot))
    assert dead is not None
    assert await work(bot) == []
    bot.clock.fast_forward(LEASE.total_seconds() + 1)
    assert await work(bot) == [Event.EMBEDDED]
    from chatbot.store.documents import keep_hold, note_failed

    async with bot.parts.database.tenant(tenant) as conn:
        assert not await keep_hold(conn, dead.ref, _now(bot))
        assert not await note_failed(conn, dead.ref, reason="too late", now=_now(bot))
    assert (await status_of(bot, body["id"]))["status"] == "ready"


async def test_a_document_that_ends_every_worker_fails(bot: Chatbot) -> None:
    """What killed the worker each time is not tried for ever."""
    _, body = await put(bot, "deadly.md", b"Do not open.")
    tenant = bot.tenants["acme"].tenant_id
    ref = RevisionRef(tenant_id=tenant, document_id=UUID(body["id"]), revision=1)
    for _ in range(MOST_ATTEMPTS):
        async with bot.parts.database.tenant(tenant) as conn:
            assert await take(conn, ref, _now(bot)) is not None
        bot.clock.fast_forward(LEASE.total_seconds() + 1)
    assert await work(bot) == [Event.FAIL]
    assert f"{MOST_ATTEMPTS} times" in (await status_of(bot, body["id"]))["reason"]


async def test_an_upload_and_the_worker_that_ends_the_one_before_do_not_block_each_other(
    bot: Chatbot,
) -> None:
    """Whoever has the document first goes first: the upload is taken, and what the worker made of the older one is dropped."""
    _, body = await put(bot, "race.md", b"The first word.")
    tenant, parts = bot.tenants["acme"].tenant_id, bot.parts
    ref = RevisionRef(tenant_id=tenant, document_id=UUID(body["id"]), revision=1)
    embedding, may_end = asyncio.Event(), asyncio.Event()

    class Slow:
        name, tokens, telling = parts.embedder.name, parts.embedder.tokens, parts.embedder.telling

        async def embed(self, texts: Any) -> Any:
            embedding.set()
            await may_end.wait()
            return await parts.embedder.embed(texts)

    worker = asyncio.create_task(ingest(replace(parts, embedder=Slow()), ref))
    await embedding.wait()
    async with parts.database.tenant(tenant) as conn:
        await conn.execute("SELECT FROM documents WHERE tenant_id = %s FOR UPDATE", (tenant,))
        may_end.set()
        async with parts.alarm.database.system() as watching:
            while not await _somebody_waits(watching):
                await asyncio.sleep(0.01)
        await begin_revision(
            conn, tenant, title="race.md", source=Source.UPLOAD, url=None, media_type=None, sha256=b"", actor="test",
            parts=[b"The last word."], now=_now(bot),
        )  # fmt: skip
    with capture_logs() as logged:
        assert await worker is None
    # Not because PostgreSQL had to end one of the two.
    assert [line["event"] for line in logged] == ["ingest_superseded"]
    assert await work(bot) == [Event.EMBEDDED]
    assert (await status_of(bot, body["id"]))["live_revision"] == 2


async def _somebody_waits(conn: Any) -> bool:
    row = await (await conn.execute("SELECT count(*) AS n FROM pg_locks WHERE NOT granted")).fetchone()
    return row["n"] > 0


async def test_a_revision_that_was_replaced_meanwhile_is_dropped(bot: Chatbot) -> None:
    """The older upload loses, even when its worker is the slower one."""
    _, body = await put(bot, "race.md", b"The first word.")
    tenant = bot.tenants["acme"].tenant_id
    ref = RevisionRef(tenant_id=tenant, document_id=UUID(body["id"]), revision=1)
    await put(bot, "race.md", b"The last word.")
    assert await ingest(bot.parts, ref) is None
    assert await work(bot) == [Event.EMBEDDED]
    assert "last" in await answer_to(bot, "What word is it?")


async def test_a_worker_killed_by_the_system_is_followed_by_a_new_one(
    bot: Chatbot, command: Callable[..., subprocess.Popen[str]], superuser_url: str
) -> None:
    """`chatbot work` takes the upload from the real queue; killed with SIGKILL in the middle, another finishes it."""
    text = "\n\n".join(f"Paragraph {n}: the pump of type {n} is oiled in spring." * 8 for n in range(400))
    _, body = await put(bot, "manual.md", text.encode())
    worker = command("work", CHATBOT_WORKER_METRICS_PORT=str(free_port()), CHATBOT_LOG_DIR="")
    await _until(bot, body["id"], {"embedding"})
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert (await status_of(bot, body["id"]))["live_revision"] is None
    with psycopg.connect(superuser_url) as conn:  # as if the lease had run out
        conn.execute(
            "UPDATE revisions SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL"
        )
    again = command("work", CHATBOT_WORKER_METRICS_PORT=str(free_port()), CHATBOT_LOG_DIR="")
    try:
        found = await _until(bot, body["id"], {"ready", "failed"})
        assert (found["status"], found["attempt"]) == ("ready", 2)
        assert found["passages"] > 50
    finally:
        again.terminate()
        _, told = again.communicate(timeout=20)
    assert "Traceback" not in told


async def _until(bot: Chatbot, document: str, wanted: set[str]) -> dict[str, Any]:
    async with asyncio.timeout(100):
        while True:
            found = await status_of(bot, document)
            if found["status"] in wanted:
                return found
            await asyncio.sleep(0.05)


async def test_a_worker_that_is_stopped_loses_nothing(
    bot: Chatbot, command: Callable[..., subprocess.Popen[str]]
) -> None:
    """SIGTERM in the middle: it ends with 0, having finished the document or given it back to the next at once."""
    text = "\n\n".join(f"Paragraph {n}: the pump of type {n} is oiled in spring." * 8 for n in range(400))
    _, body = await put(bot, "manual.md", text.encode())
    worker = command("work", CHATBOT_WORKER_METRICS_PORT=str(free_port()), CHATBOT_LOG_DIR="")
    await _until(bot, body["id"], {"embedding"})
    worker.terminate()
    _, told = await asyncio.to_thread(worker.communicate, timeout=30)
    assert worker.returncode == 0, told
    assert "Traceback" not in told
    left = await status_of(bot, body["id"])
    if left["status"] != "ready":
        assert (left["status"], left["live_revision"]) == ("queued", None)
        assert "stopped in the middle" in left["reason"]
        assert await work(bot) == [Event.EMBEDDED]  # no lease has to run out first
    found = await status_of(bot, body["id"])
    assert (found["status"], found["live_revision"]) == ("ready", 1)
