"""Documents as people send them, good and bad, over HTTP: read with their pages, or failed alone with the reason."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chatbot.core.documents import Event
from chatbot.stages.ingest import ingest
from chatbot.stages.ports import now_of
from chatbot.store.documents import due_revisions
from chatbot_house import Chatbot, served, settings_for
from paper import pdf_of

PDF, HTML = "application/pdf", "text/html"


@pytest.fixture
async def bot(app_url: str, valkey_url: str) -> AsyncGenerator[Chatbot]:
    """Without any provider: the passages themselves answer."""
    async with served(settings_for(app_url, valkey_url)) as running:
        yield running


async def put(bot: Chatbot, title: str, content: bytes, kind: str) -> tuple[int, dict[str, Any]]:
    headers = {"X-Api-Key": bot.keys["acme"], "Content-Type": kind}
    address = f"{bot.url}/api/documents"
    async with bot.http.post(
        address, params={"title": title}, data=io.BytesIO(content), headers=headers
    ) as answer:
        return answer.status, await answer.json(content_type=None)


async def work(bot: Chatbot) -> list[Event | None]:
    """What a worker would do now, once."""
    async with bot.parts.database.system() as conn:
        due = await due_revisions(conn, now_of(bot.parts.clocks), most=100)
    return [await ingest(bot.parts, ref) for ref in due]


def zip_of(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


async def test_a_source_says_on_which_page_it_stands(bot: Chatbot) -> None:
    """Two pages of a PDF are two passages: what is asked of the second is cited with page 2."""
    handbook = pdf_of(
        "The office is open from nine to five.", "A broken lamp is replaced within twelve days."
    )
    status, body = await put(bot, "handbook.pdf", handbook, PDF)
    assert (status, body["status"]) == (202, "queued")
    assert await work(bot) == [Event.EMBEDDED]
    for question, words, page in (
        ("How soon is a broken lamp replaced?", "twelve days", 2),
        ("When is the office open?", "nine to five", 1),
    ):
        _, events, _ = await bot.ask(question)
        found = [each for each in events[0][1]["sources"] if words in each["text"]]
        assert [(each["title"], each["page"]) for each in found] == [("handbook.pdf", page)]


BAD = {
    "encrypted": (pdf_of("Nobody reads this.", encrypted=True), PDF, "asks for a password"),
    "a ZIP named .pdf": (zip_of("a.txt", b"x" * 1000), PDF, "ZIP archive"),
    "a ZIP that says nothing": (zip_of("a.txt", b"\0" * 10_000_000), "", "ZIP archive"),
    "half a PDF": (pdf_of("One page.")[:150], PDF, "malformed"),
    "deeply nested": (b"<div>" * 100_000 + b"in the middle" + b"</div>" * 100_000, HTML, "nested too deeply"),
    "an HTML bomb": (b"<p>a" * 3_000_000, HTML, ""),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_cannot_be_read_fails_alone_with_its_reason(bot: Chatbot, case: str) -> None:
    """The reason is one that its owner can act on; the document beside it is ready, and answers."""
    content, kind, words = BAD[case]
    status, bad = await put(bot, "bad", content, kind)
    assert status == 202
    _, good = await put(bot, "good.pdf", pdf_of("The lift is inspected every October."), PDF)
    await work(bot)
    _, failed = await bot.call("GET", f"/api/documents/{bad['id']}")
    assert (failed["status"], failed["passages"], failed["live_revision"]) == ("failed", 0, None)
    assert words in failed["reason"]
    assert "Traceback" not in failed["reason"]
    _, ready = await bot.call("GET", f"/api/documents/{good['id']}")
    assert ready["status"] == "ready"
    _, events, _ = await bot.ask("When is the lift inspected?")
    assert "October" in events[0][1]["sources"][0]["text"]


async def test_a_file_of_nothing_is_refused_at_the_door(bot: Chatbot) -> None:
    """0 bytes: a problem document with a remedy, and no document is kept."""
    status, problem = await put(bot, "empty.pdf", b"", PDF)
    assert status == 400
    assert problem["remedy"]
    _, listed = await bot.call("GET", "/api/documents")
    assert [each["title"] for each in listed["documents"]] == ["policy.md"]
