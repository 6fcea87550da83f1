"""What operators and remedies may do by hand: breakers, settings, the cache, draining. Each says how to undo it; all audited."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from chatbot.core.answer_settings import InForce
from chatbot.stages.tune import refresh_settings
from chatbot_house import Chatbot, Upstream, events_of, free_port, text_of

QUESTION = "When is a refund possible?"
Rows = Callable[[str], list[tuple[Any, ...]]]


async def undo(chatbot: Chatbot, change: dict[str, Any]) -> tuple[int, Any]:
    """Sends the undo of a change as it is."""
    given = change["undo"]
    return await chatbot.admin(given["method"], given["path"].removeprefix("/api/admin"), given["body"])


async def test_a_breaker_forced_open_sends_questions_to_the_fallback(
    chatbot: Chatbot, groq: Upstream, audit_rows: Rows
) -> None:
    """Forced open, Groq is not asked, however long; its undo lets probes through, and Groq answers again."""
    status, change = await chatbot.admin("POST", "/breakers/groq/force-open")
    assert (status, change["state"], change["previous"]) == (200, "forced_open", "closed")
    chatbot.clock.fast_forward(3600)
    _, events, _ = await chatbot.ask(QUESTION)
    assert (events[-1][1]["provider"], groq.asked) == ("openai", [])
    assert await chatbot.metric('circuit_breaker_state{breaker="groq",state="forced_open"}') == 1
    assert (await chatbot.get("/api/health/groq"))[1]["status"] == "degraded"
    assert (await undo(chatbot, change))[1]["state"] == "half_open"
    _, events, _ = await chatbot.ask(QUESTION)
    assert events[-1][1]["provider"] == "groq"
    acts = [row[2]["act"] for row in audit_rows("breaker_changed")]
    assert acts == ["force-open", "release"]


async def test_an_open_breaker_can_be_reset(chatbot: Chatbot, groq: Upstream) -> None:
    """A reset closes it before its time; there is nothing to undo, and the answer says why."""
    groq.mode = "401"
    for _ in range(6):
        await chatbot.ask(QUESTION)
    _, shown = await chatbot.admin("GET", "/breakers/groq")
    assert (shown["state"], shown["retry_after_seconds"] > 5) == ("open", True)
    groq.mode = "ok"
    _, change = await chatbot.admin("POST", "/breakers/groq/reset")
    assert (change["state"], change["previous"], change["undo"]) == ("closed", "open", None)
    assert "opens again by itself" in change["undo_note"]
    _, events, _ = await chatbot.ask(QUESTION)
    assert events[-1][1]["provider"] == "groq"


async def test_what_cannot_be_done_to_a_breaker_is_said(chatbot: Chatbot, audit_rows: Rows) -> None:
    """An unknown breaker is named with those that there are; releasing what nobody forced is a conflict. Neither is audited."""
    status, problem = await chatbot.admin("POST", "/breakers/groqq/reset")
    assert (status, "groq, openai" in problem["remedy"]) == (404, True)
    status, problem = await chatbot.admin("POST", "/breakers/groq/release")
    assert (status, "reset" in problem["remedy"]) == (409, True)
    assert audit_rows("breaker_changed") == []


async def test_a_tenants_own_model_has_its_own_breaker(chatbot: Chatbot, groq: Upstream) -> None:
    """A model that is named with a slash is asked, listed and reset by its name."""
    await chatbot.admin("PUT", "/settings?tenant=acme", {"models": {"groq": "openai/gpt-oss-20b"}})
    await chatbot.ask(QUESTION)
    assert groq.asked[-1]["model"] == "openai/gpt-oss-20b"
    _, listed = await chatbot.admin("GET", "/breakers")
    assert [each["name"] for each in listed["breakers"]] == ["groq", "groq/openai/gpt-oss-20b", "openai"]
    assert (await chatbot.admin("POST", "/breakers/groq/openai/gpt-oss-20b/reset"))[0] == 200


async def test_settings_are_in_force_at_once_and_undone_as_they_were(
    chatbot: Chatbot, groq: Upstream, audit_rows: Rows
) -> None:
    """Length, model and order of the providers follow a change; its undo, sent as it is, brings back what was there."""
    change = {"max_tokens": 7, "models": {"groq": "fast"}, "similarity_top_k": 1}
    status, changed = await chatbot.admin("PUT", "/settings", change)
    assert (status, changed["in_force"]["similarity_top_k"]) == (200, 1)
    await chatbot.ask(QUESTION)
    assert (groq.asked[-1]["max_tokens"], groq.asked[-1]["model"]) == (7, "fast")
    await chatbot.admin("PUT", "/settings", {"providers": ["openai"]})
    _, events, _ = await chatbot.ask("How many days for a refund?")
    assert (events[-1][1]["kind"], events[-1][1]["provider"]) == ("generated", "openai")
    await undo(chatbot, changed)
    _, shown = await chatbot.admin("GET", "/settings")
    assert shown["set"] == {"providers": ["openai"]}
    assert shown["in_force"]["max_tokens"] == 100
    assert audit_rows("settings_changed")[0][2]["previous"] == {
        "max_tokens": None,
        "models": {"groq": None},
        "similarity_top_k": None,
    }


async def test_a_tenants_settings_are_its_own(chatbot: Chatbot, groq: Upstream) -> None:
    """What is set for acme holds for acme only, over what is set for everybody; null takes it back."""
    await chatbot.admin("PUT", "/settings", {"max_tokens": 50})
    await chatbot.admin("PUT", "/settings?tenant=acme", {"max_tokens": 9})
    for tenant, expected in (("acme", 9), ("globex", 50)):
        await chatbot.ask(QUESTION, tenant=tenant)
        assert groq.asked[-1]["max_tokens"] == expected
    await chatbot.admin("PUT", "/settings?tenant=acme", {"max_tokens": None})
    assert (await chatbot.admin("GET", "/settings?tenant=acme"))[1]["in_force"]["max_tokens"] == 50


WRONG: dict[str, tuple[Any, str]] = {
    "too many passages": ({"similarity_top_k": 51}, "from 1 to 50"),
    "no passages": ({"similarity_top_k": 0}, "from 1 to 50"),
    "a truth value": ({"max_tokens": True}, "max_tokens"),
    "a text": ({"max_tokens": "9"}, "max_tokens"),
    "too long an answer": ({"max_tokens": 32_001}, "from 1 to 32000"),
    "an unknown provider": ({"providers": ["grok"]}, "no provider 'grok'"),
    "a provider twice": ({"providers": ["groq", "groq"]}, "each provider once"),
    "a model of nobody": ({"models": {"grok": "x"}}, "no provider 'grok'"),
    "a model's name with a space": ({"models": {"groq": "a b"}}, "cannot be a model's name"),
    "an unknown setting": ({"temperature": 1}, "temperature"),
    "nothing": ({}, "names no setting"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_setting_out_of_bounds_is_refused_whole(
    chatbot: Chatbot, audit_rows: Rows, what: str
) -> None:
    """The refusal names the value and the bounds, and nothing of the request is done."""
    body, words = WRONG[what]
    status, problem = await chatbot.admin("PUT", "/settings", {"max_tokens": 3, **body} if body else {})
    assert (status, words in problem["detail"], bool(problem["remedy"])) == (400, True, True)
    assert (await chatbot.admin("GET", "/settings"))[1]["set"] == {}
    assert audit_rows("settings_changed") == []


async def test_settings_of_an_unknown_tenant_are_not_found(chatbot: Chatbot) -> None:
    """Also where the name cannot be one."""
    for name in ("initech", "%20", "a'b"):
        assert (await chatbot.admin("PUT", f"/settings?tenant={name}", {"max_tokens": 9}))[0] == 404


async def test_another_process_takes_global_settings_over(chatbot: Chatbot) -> None:
    """The copy in memory is what questions use; one look at the database brings a change of another process."""
    await chatbot.admin("PUT", "/settings", {"max_tokens": 11})
    elsewhere = replace(chatbot.parts, settings=InForce(chatbot.parts.settings.environment))
    assert elsewhere.settings.settings().max_tokens == 100
    await refresh_settings(elsewhere)
    assert elsewhere.settings.settings().max_tokens == 11


async def test_with_the_database_down_settings_are_read_from_memory(
    chatbot: Chatbot, superuser_url: str
) -> None:
    """An operator still sees what is in force; a change is refused with 503 and changes nothing."""
    await chatbot.admin("PUT", "/settings", {"max_tokens": 12})
    await chatbot.parts.database.__aexit__()
    status, shown = await chatbot.admin("GET", "/settings")
    assert (status, shown["in_force"]["max_tokens"]) == (200, 12)
    assert (await chatbot.admin("PUT", "/settings", {"max_tokens": 13}))[0] == 503
    assert (await chatbot.admin("GET", "/settings"))[1]["in_force"]["max_tokens"] == 12
    assert (await chatbot.admin("POST", "/breakers/groq/force-open"))[0] == 503
    assert (await chatbot.admin("GET", "/breakers/groq"))[1]["state"] == "closed"


async def test_clearing_the_cache_is_audited(chatbot: Chatbot, audit_rows: Rows) -> None:
    """For everybody or one tenant; an unknown tenant is not found."""
    _, cleared = await chatbot.admin("POST", "/cache/clear?tenant=acme")
    assert (cleared["tenant"], cleared["undo"], "fills again" in cleared["undo_note"]) == ("acme", None, True)
    assert (await chatbot.admin("POST", "/cache/clear"))[0] == 200
    assert (await chatbot.admin("POST", "/cache/clear?tenant=initech"))[0] == 404
    assert [row[2]["scope"] for row in audit_rows("cache_cleared")] == ["acme", "everybody"]


async def test_a_draining_process_takes_no_question_but_ends_those_that_it_has(
    chatbot: Chatbot, groq: Upstream, audit_rows: Rows
) -> None:
    """Readiness and health say so, a new question gets 503 with Retry-After, the running answer ends whole; undo opens again."""
    groq.mode = "hold"
    running = asyncio.create_task(chatbot.ask(QUESTION))
    async with asyncio.timeout(5):
        while not groq.asked:
            await asyncio.sleep(0.01)
    status, drained = await chatbot.admin("POST", "/drain")
    assert (status, drained["draining"], drained["running"]) == (200, True, 1)
    assert (await chatbot.get("/readyz"))[0] == 503
    assert (await chatbot.get("/livez"))[0] == 200
    _, health = await chatbot.get("/api/health")
    assert (health["status"], health["draining"]) == ("degraded", True)
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    async with chatbot.http.post(
        f"{chatbot.url}/api/chat", json={"message": QUESTION}, headers=headers
    ) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    groq.release.set()
    _, events, _ = await running
    assert (text_of(events), events[-1][1]["kind"]) == ("Within 30 days [1].", "generated")
    await undo(chatbot, drained)
    assert (await chatbot.get("/readyz"))[0] == 200
    assert (await chatbot.ask(QUESTION))[0] == 200
    assert [row[2]["draining"] for row in audit_rows("drain_changed")] == [True, False]


async def test_a_stream_that_outlasts_the_drain_is_told(chatbot: Chatbot, groq: Upstream) -> None:
    """After the limit it ends with an error event and done; upstream is cancelled."""
    groq.mode = "hold"
    running = asyncio.create_task(chatbot.ask(QUESTION))
    async with asyncio.timeout(10):
        while not groq.asked:
            await asyncio.sleep(0.01)
        await chatbot.admin("POST", "/drain")
        _, events, _ = await running
        await groq.gone.wait()
    assert [name for name, _ in events][-2:] == ["error", "done"]
    assert events[-1][1]["kind"] == "incomplete"
    assert "stopping" in events[-2][1]["detail"]


async def test_sigterm_lets_the_last_answer_end(
    command: Callable[..., Any], chatbot: Chatbot, groq: Upstream
) -> None:
    """A server that is told to stop refuses new questions, ends the one it has, and is gone."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = command("serve", CHATBOT_PORT=str(port), GROQ_BASE_URL=groq.url, GROQ_API_KEY="k")
    groq.mode = "hold"
    headers = {"X-Api-Key": chatbot.keys["acme"]}
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession(headers=headers) as http:
            await until_ready(http, url)
            async with http.post(f"{url}/api/chat", json={"message": QUESTION}) as running:
                while b"event: token" not in await running.content.readuntil(b"\n\n"):
                    pass
                server.send_signal(signal.SIGTERM)
                while (await status_of(http, f"{url}/readyz")) != 503:
                    await asyncio.sleep(0.02)
                async with http.post(f"{url}/api/chat", json={"message": QUESTION}) as refused:
                    assert (refused.status, (await refused.json())["title"]) == (503, "Stopping")
                groq.release.set()
                assert events_of((await running.content.read()).decode())[-1][0] == "done"
            await asyncio.to_thread(server.wait, 10)
    finally:
        server.kill()
        server.communicate()


async def until_ready(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        try:
            if await status_of(http, f"{url}/readyz") == 200:
                return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)


async def status_of(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        return answer.status
