"""One line in somebody's page: the widget answers there, and on no page that its tenant has not listed."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from chatbot_house import Chatbot, free_port

pytestmark = pytest.mark.browser


@pytest.fixture
async def shop(chatbot: Chatbot) -> AsyncGenerator[str]:
    """The origin of a page of acme's that embeds the widget. Its own styles and policy are strict."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    status, made = await chatbot.admin(
        "POST", "/tenants/acme/widget-keys", {"name": "shop", "origins": [origin]}
    )
    assert status == 201, made

    async def page(_: web.Request) -> web.Response:
        script = f'<script src="{chatbot.url}/widget.js" data-key="{made["key"]}" data-title="Ask acme" async></script>'
        text = f"<!doctype html><title>Shop</title><style>button {{ display: none }}</style><h1>Shop</h1>{script}"
        policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {chatbot.url}; connect-src {chatbot.url}"
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": policy})

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield origin
    await runner.cleanup()


async def ask(page: Page, question: str) -> None:
    await page.get_by_role("button", name="Ask acme").click()
    await page.get_by_label("Ask a question").fill(question)
    await page.get_by_label("Ask a question").press("Enter")


async def test_it_answers_with_its_sources(chatbot: Chatbot, shop: str, browser: Browser) -> None:
    """A visitor asks by keyboard, opens the passage, closes it and then the panel, and is back at the button."""
    page = await browser.new_page()
    await page.goto(shop)
    await ask(page, "Is a refund possible?")
    answer = page.get_by_role("article").last
    await expect(answer).to_contain_text("Within 30 days [1].")
    await answer.get_by_role("button", name="Source 1: policy.md").first.click()
    await expect(page.locator("dialog")).to_contain_text("A refund at acme is possible within 30 days.")
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_be_hidden()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Ask acme")).to_be_focused()


async def test_a_page_that_is_not_listed_gets_no_answer(
    chatbot: Chatbot, shop: str, browser: Browser
) -> None:
    """The same page by another name is another origin: the browser keeps it out, and the visitor is told."""
    page = await browser.new_page()
    await page.goto(shop.replace("127.0.0.1", "localhost"))
    await ask(page, "Is a refund possible?")
    answer = page.get_by_role("article").last
    await expect(answer).to_contain_text("The connection broke.")
    await expect(answer).not_to_contain_text("30 days")
