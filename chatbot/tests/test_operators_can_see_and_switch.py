"""Health, metrics, flags and the processes themselves."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import guards
from chatbot.stages.watch import watch_queue
from chatbot_house import Chatbot, Upstream, free_port, served, settings_for

AT_ZERO = (
    'http_requests_total{method="POST",route="/api/chat",status="502"}',
    'tenant_isolation_violations_total{source="retrieval",tenant_id="unknown"}',
    'auth_attempts_total{ip="other",status="failed",tenant_id="unknown"}',
    "rag_cache_hits_total",
    "rag_cache_misses_total",
    'circuit_breaker_failures_total{breaker="groq"}',
)
HISTOGRAMS = (
    "http_request_duration_seconds",
    "vector_search_duration_seconds",
    "llm_generation_duration_seconds",
    "rag_query_duration_seconds",
)


async def test_a_wrong_token_opens_nothing_and_is_audited(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """The admin API refuses, counts and audits whoever has not its token."""
    for token in ("", "wrong", "the-admin-token-of-the-test"):
        status, problem = await chatbot.admin("PUT", "/flags/rerank", {"enabled": True}, token=token)
        assert (status, bool(problem.get("remedy"))) == (401, True)
    assert len(audit_rows("auth_failure")) == 3
    assert audit_rows("flag_changed") == []


async def failed_attempts(chatbot: Chatbot) -> float:
    """Of all addresses together: one that fails often has a series of its own."""
    _, text = await chatbot.get("/metrics")
    lines = [line for line in text.splitlines() if line.startswith("auth_attempts_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'status="failed"' in line)


async def test_a_flood_of_failures_does_not_fill_the_audit_log(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Every failure is counted; what the log held back is said in its next entry."""
    before = await failed_attempts(chatbot)
    for _ in range(120):
        await chatbot.admin("GET", "/flags", token="wrong")
    assert await failed_attempts(chatbot) == before + 120
    assert len(audit_rows("auth_failure")) < 120
    chatbot.clock.fast_forward(60)
    await chatbot.admin("GET", "/flags", token="wrong")
    assert audit_rows("auth_failure")[-1][2]["held_back_before"] > 0


async def test_a_change_says_how_to_undo_it_and_is_audited(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """The undo of a change, sent as it is, brings the flag back."""
    _, change = await chatbot.admin("PUT", "/flags/rerank", {"enabled": True})
    assert (change["enabled"], change["previous"]) == (True, False)
    undo = change["undo"]
    await chatbot.admin(undo["method"], undo["path"].removeprefix("/api/admin"), undo["body"])
    assert (await chatbot.admin("GET", "/flags/rerank"))[1]["enabled"] is False
    assert [row[2]["enabled"] for row in audit_rows("flag_changed")] == [True, False]


async def test_an_unknown_flag_is_not_found(chatbot: Chatbot) -> None:
    """A mistyped flag is refused with the names of those that there are."""
    status, problem = await chatbot.admin("PUT", "/flags/rerunk", {"enabled": True})
    assert (status, "rerank" in problem["remedy"]) == (404, True)


async def test_maintenance_closes_the_product_only(chatbot: Chatbot) -> None:
    """In maintenance questions get 503, health and admin still work."""
    await chatbot.admin("PUT", "/flags/maintenance", {"enabled": True})
    assert (await chatbot.ask("When?"))[0] == 503
    assert (await chatbot.get("/api/health/database"))[0] == 200
    await chatbot.admin("PUT", "/flags/maintenance", {"enabled": False})
    assert (await chatbot.ask("When?"))[0] == 200


async def test_the_series_that_alerts_read_are_there_at_zero(command: Callable[..., Any]) -> None:
    """A fresh server exports every contracted series before the first request, with edges at 5, 10, 30 and 60 s."""
    port = free_port()
    server = command("serve", CHATBOT_PORT=str(port))
    try:
        text = await asyncio.to_thread(read_when_up, f"http://127.0.0.1:{port}/metrics")
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=15)
    for sample in AT_ZERO:
        assert f"\n{sample} 0.0\n" in text, sample
    for name in HISTOGRAMS:
        for edge in ("5.0", "10.0", "30.0", "60.0"):
            assert f'le="{edge}"' in "".join(
                line for line in text.splitlines() if line.startswith(f"{name}_bucket")
            )
    for name in ("db_pool_connections", "db_pool_waiting_requests", "queue_depth", "circuit_breaker_state"):
        assert f"\n# TYPE {name} gauge\n" in text


def read_when_up(url: str) -> str:
    deadline = time.monotonic() + 15
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
                return answer.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


async def test_health_tells_groq_from_its_fallback(
    chatbot: Chatbot, groq: Upstream, openai: Upstream
) -> None:
    """Groq failing with OpenAI answering is degraded; both failing is down, yet the product still answers."""
    assert (await chatbot.get("/api/health/groq"))[1]["status"] == "ok"
    groq.mode = "500"
    for _ in range(6):
        await chatbot.ask("When is a refund possible?")
    status, body = await chatbot.get("/api/health/groq")
    assert (status, body["status"]) == (200, "degraded")
    openai.mode = "500"
    for _ in range(8):
        await chatbot.ask("When is a refund possible?")
    status, body = await chatbot.get("/api/health/groq")
    assert (status, body["status"]) == (503, "down")
    assert "breaker is open" in body["reason"]
    assert (await chatbot.get("/api/health"))[0] == 200


async def test_the_probe_is_rare(chatbot: Chatbot, groq: Upstream) -> None:
    """A provider that nobody asks is probed once in thirty seconds, however often health is read."""
    for _ in range(10):
        await chatbot.get("/api/health/groq")
    assert groq.probes == 1
    chatbot.clock.fast_forward(31)
    await chatbot.get("/api/health/groq")
    assert groq.probes == 2


async def test_a_queue_without_a_worker_goes_down(chatbot: Chatbot) -> None:
    """Redis answering is not enough: when no worker finishes canaries, the queue is down, and they do not pile up."""
    for _ in range(3):
        await watch_queue(chatbot.parts)
        chatbot.clock.fast_forward(20)
    status, body = await chatbot.get("/api/health/queue")
    assert (status, body["status"]) == (503, "down")
    assert (await chatbot.get("/api/health/redis"))[1]["status"] == "ok"
    assert (await chatbot.get("/api/health"))[0] == 200
    assert (await chatbot.parts.jobs.state()).depth["waiting"] == 1


async def test_a_worker_finishes_canaries(chatbot: Chatbot, command: Callable[..., Any]) -> None:
    """With `chatbot work` running, a canary goes through, and SIGTERM ends the worker with status 0."""
    worker = command("work", CHATBOT_WORKER_METRICS_PORT=str(free_port()))
    try:
        async with asyncio.timeout(20):
            # A canary that another test left in the queue is finished first, and may be old.
            while (await chatbot.get("/api/health/queue"))[1]["status"] != "ok":
                await watch_queue(chatbot.parts)
                await asyncio.sleep(0.1)
    finally:
        worker.send_signal(signal.SIGTERM)
        out, _ = await asyncio.to_thread(worker.communicate, timeout=15)
    assert worker.returncode == 0, out


async def test_without_redis_questions_are_still_answered(app_url: str) -> None:
    """Redis gone: its own health and the queue's are down, the product answers, health as a whole is degraded."""
    async with served(settings_for(app_url, f"redis://127.0.0.1:{free_port()}/0")) as chatbot:
        assert (await chatbot.ask("When is a refund possible?"))[0] == 200
        assert (await chatbot.get("/api/health/redis"))[0] == 503
        status, body = await chatbot.get("/api/health")
    assert (status, body["status"]) == (200, "degraded")


def test_an_unsafe_role_stops_the_server_with_a_sentence(
    command: Callable[..., Any], superuser_url: str
) -> None:
    """`chatbot serve` as a superuser exits with 2 and says why."""
    server = command("serve", CHATBOT_DATABASE_URL=superuser_url)
    _, err = server.communicate(timeout=20)
    assert server.returncode == 2
    assert "superuser" in err
    assert "Traceback" not in err


async def test_it_starts_without_postgresql_and_refuses_questions(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    """Without a database the server lives, health says so, and questions get 503, never an answer from memory."""
    port = free_port()
    gone = f"postgresql://chatbot:x@127.0.0.1:{free_port()}/none"
    server = command("serve", CHATBOT_PORT=str(port), CHATBOT_DATABASE_URL=gone)
    try:
        await asyncio.to_thread(read_when_up, f"http://127.0.0.1:{port}/livez")
        import aiohttp

        async with aiohttp.ClientSession() as http:
            async with http.post(
                f"http://127.0.0.1:{port}/api/chat", json={"message": "x"}, headers={"X-Api-Key": "k"}
            ) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            async with http.get(f"http://127.0.0.1:{port}/api/health") as answer:
                assert answer.status == 503
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=15)
    lines = (tmp_path / "log" / "error.log").read_text().splitlines()
    assert json.loads(lines[0])["event"] == "started_without_database"
    assert '"level": "ERROR"' in lines[0]


def test_migrate_twice_changes_nothing(command: Callable[..., Any]) -> None:
    """A second migrate is a success that does nothing."""
    for _ in range(2):
        migrate = command("migrate")
        _, err = migrate.communicate(timeout=60)
        assert (migrate.returncode, err) == (0, "")


def test_migrate_refuses_to_serve_as_its_own_role(command: Callable[..., Any], superuser_url: str) -> None:
    """One address for both is refused, and the superuser keeps its password."""
    migrate = command("migrate", CHATBOT_DATABASE_URL=superuser_url)
    _, err = migrate.communicate(timeout=60)
    assert migrate.returncode == 2
    assert "one of its own" in err


def test_a_tenant_from_the_command_line(command: Callable[..., Any], tmp_path: Path) -> None:
    """The key is printed once, as JSON where asked; a document is added; bad files and names get a sentence."""
    made = command("tenant", "create", "acme", "--format", "json")
    out, _ = made.communicate(timeout=30)
    assert json.loads(out)["api_key"].startswith("bitb_")
    good, empty = tmp_path / "a.md", tmp_path / "c.md"
    good.write_text("# A\n\ntext\n")
    empty.write_text("")
    expected = {
        ("document", "add", "--tenant", "acme", str(good)): (0, ""),
        ("document", "add", "--tenant", "acme", str(empty)): (2, "0 bytes"),
        ("document", "add", "--tenant", "acme", str(tmp_path / "d.md")): (2, "cannot be read"),
        ("document", "add", "--tenant", "globex", str(good)): (2, "no tenant 'globex'"),
        ("tenant", "create", "acme"): (2, "already"),
        ("tenant", "create", "No Good"): (2, "cannot be a tenant's name"),
    }
    for arguments, (code, words) in expected.items():
        run = command(*arguments)
        _, err = run.communicate(timeout=30)
        assert run.returncode == code
        assert words in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    "missing", ["CHATBOT_ADMIN_TOKEN", "CHATBOT_SIGNING_KEYS", "CHATBOT_REDIS_URL", "CHATBOT_DATABASE_URL"]
)
def test_a_wrong_environment_is_named(command: Callable[..., Any], missing: str) -> None:
    """What is missing is named, with an example or the line that makes one."""
    server = command("serve", **{missing: ""})
    _, err = server.communicate(timeout=20)
    assert (server.returncode, missing in err) == (2, True)


guards.install(globals())
