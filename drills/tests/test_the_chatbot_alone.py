"""A new user's first minutes: one command, no key, a PDF, a question."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60


def pdf_of(*lines: str) -> bytes:
    """A PDF of one page."""
    text = " ".join(f"({line}) Tj T*" for line in lines)
    page = f"BT /F1 14 Tf 72 720 Td 18 TL {text} ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(page)} >>\nstream\n{page}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n"
    return out + f"{end}startxref\n{len(out)}\n%%EOF\n".encode()


@asynccontextmanager
async def chatbot_alone(folder: Path) -> AsyncGenerator[str]:
    """`drill chat`, without any key of a provider; the link that it prints."""
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    argv = ["-c", "from drills.cli import main; main()", "chat", "--stack-dir", str(folder / "stack")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *argv, "--port-base", "9840", "--repository", str(ROOT), env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = ""
    async with asyncio.timeout(READY_SECONDS):
        while "Ctrl-C stops it" not in printed:
            line = await process.stdout.readline()
            assert line, printed
            printed += line.decode()
    try:
        yield re.findall(r"http://\S+/join#\S+", printed)[0]
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that the user who runs the database can enter."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.mark.browser
async def test_from_one_command_to_a_cited_answer_from_a_pdf(browser: Browser, folder: Path) -> None:
    """The link, a password, a PDF, a question: the answer quotes the PDF and opens the passage. Then nothing is left."""
    async with chatbot_alone(folder) as link:
        page = await browser.new_page()
        await page.goto(link)
        await page.get_by_label("New password").fill("five correct horses at noon")
        await page.get_by_role("button", name="Set the password").click()
        handbook = pdf_of("Goods can be returned within 45 days of delivery.", "We are open from 9 to 17.")
        await page.get_by_label("Drop PDF").set_input_files(
            {"name": "handbook.pdf", "mimeType": "application/pdf", "buffer": handbook}
        )
        await expect(page.get_by_text("ready", exact=True)).to_be_visible()
        await page.get_by_role("link", name="Chat").click()
        await page.get_by_label("Ask a question").fill("How long can goods be returned?")
        await page.get_by_role("button", name="Send").click()
        answer = page.get_by_role("article").last
        await expect(answer).to_contain_text("within 45 days")
        await answer.get_by_role("button", name="Source 1: handbook.pdf").first.click()
        await expect(page.get_by_role("dialog")).to_contain_text("within 45 days of delivery")
    found = await asyncio.create_subprocess_exec("pgrep", "-f", str(folder), stdout=asyncio.subprocess.PIPE)
    left, _ = await found.communicate()
    assert left == b"", "processes were left behind"
