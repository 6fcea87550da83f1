"""The chat page, for somebody with a browser and nothing else."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from chatbot.core.defence import ACCOUNT_CHALLENGED, LONGEST_WAIT
from chatbot_house import Chatbot, Upstream

pytestmark = pytest.mark.browser

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PASSWORD = "five correct horses at noon"


async def joined(
    chatbot: Chatbot, browser: Browser, *, role: str = "admin", size: dict[str, int] = DESK
) -> Page:
    """Alice follows the link of her invitation and chooses a password."""
    status, invited = await chatbot.admin(
        "POST", "/tenants/acme/members", {"email": "alice@example.com", "role": role}
    )
    assert status == 201, invited
    page = await browser.new_page(viewport=size)
    await page.goto(chatbot.url + invited["link"])
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_role("button", name="Set the password").click()
    await page.wait_for_url("**/documents")
    return page


async def ask(page: Page, question: str) -> None:
    await page.get_by_label("Ask a question").fill(question)
    await page.get_by_label("Ask a question").press("Enter")


async def test_a_question_is_answered_with_the_passage_behind_it(
    chatbot: Chatbot, groq: Upstream, browser: Browser
) -> None:
    """Alice asks by keyboard, reads the answer, opens what it cites, and closes it again where she was."""
    page = await joined(chatbot, browser)
    await page.goto(chatbot.url)
    await ask(page, "Is a refund possible?")
    answer = page.get_by_role("article").last
    await expect(answer).to_contain_text("Within 30 days [1].")
    await answer.get_by_role("button", name="Source 1: policy.md").press("Enter")
    await expect(page.get_by_role("dialog")).to_contain_text("A refund at acme is possible within 30 days.")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(answer.get_by_role("button", name="Source 1: policy.md")).to_be_focused()
    assert groq.asked[-1]["stream"] is True


async def test_what_a_model_says_is_text(chatbot: Chatbot, groq: Upstream, browser: Browser) -> None:
    """Markup in an answer is shown, never run."""
    groq.tokens = ["<img src=x onerror=\"document.title='run'\">", " <b>bold</b> [1]"]
    page = await joined(chatbot, browser)
    await page.goto(chatbot.url)
    await ask(page, "Is a refund possible?")
    await expect(page.get_by_role("article").last).to_contain_text("<b>bold</b>")
    assert await page.title() == "Chat · bitb chatbot"


async def test_a_refusal_says_what_to_do(chatbot: Chatbot, browser: Browser) -> None:
    """The server's own words stand where the answer would."""
    page = await joined(chatbot, browser)
    await page.goto(chatbot.url)
    await chatbot.admin("PUT", "/maintenance", {"enabled": True, "message": "Back at four"})
    await ask(page, "Is a refund possible?")
    await expect(page.get_by_role("article").last).to_contain_text("Back at four")


async def test_stopping_ends_the_answer_upstream(chatbot: Chatbot, groq: Upstream, browser: Browser) -> None:
    """Whoever presses Stop costs nothing more."""
    groq.mode = "endless"
    page = await joined(chatbot, browser)
    await page.goto(chatbot.url)
    await ask(page, "Is a refund possible?")
    await expect(page.get_by_role("article").last).to_contain_text("and so on")
    await page.get_by_role("button", name="Stop").click()
    await groq.gone.wait()
    await expect(page.get_by_role("article").last).to_contain_text("Stopped.")


async def sign_in(page: Page, password: str) -> None:
    await page.get_by_label("Tenant").fill("acme")
    await page.get_by_label("E-mail").fill("alice@example.com")
    await page.get_by_label("Password").fill(password)
    async with page.expect_response("**/api/sign-in"):
        await page.get_by_role("button", name="Sign in").click()


async def test_the_browser_pays_the_proof_of_work(chatbot: Chatbot, browser: Browser) -> None:
    """Guessing made sign-in costly; whoever knows the password waits a little and is in, without a riddle."""
    _, invited = await chatbot.admin(
        "POST", "/tenants/acme/members", {"email": "alice@example.com", "role": "admin"}
    )
    accepted = {"invitation": invited["invitation"], "password": PASSWORD}
    async with chatbot.http.post(f"{chatbot.url}/api/invitations/accept", json=accepted) as answer:
        assert answer.status == 200
    page = await browser.new_page()
    await page.goto(f"{chatbot.url}/documents")
    for _ in range(ACCOUNT_CHALLENGED):
        await sign_in(page, "a wrong password")
        chatbot.clock.fast_forward(LONGEST_WAIT + 1)
    async with page.expect_response(lambda answer: answer.status == 403):
        await sign_in(page, PASSWORD)
    await expect(page.get_by_role("heading", name="Documents")).to_be_visible()


async def test_a_wrong_password_is_told_and_signing_out_ends_the_session(
    chatbot: Chatbot, browser: Browser
) -> None:
    """The form says that it was wrong, not which part; after signing out the token is worth nothing."""
    page = await joined(chatbot, browser)
    await page.get_by_role("button", name="Sign out").click()
    await sign_in(page, "a wrong password")
    await expect(page.get_by_role("alert")).to_contain_text("is wrong")
    await sign_in(page, PASSWORD)
    await expect(page.get_by_role("heading", name="Documents")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_wider_than_a_phone(
    chatbot: Chatbot, groq: Upstream, browser: Browser, scheme: str
) -> None:
    """A long word in an answer does not make the page scroll sideways."""
    groq.tokens = ["x" * 400]
    page = await joined(chatbot, browser, size=PHONE)
    await page.emulate_media(color_scheme=scheme)
    for path in ("/documents", "/"):
        await page.goto(chatbot.url + path)
        if path == "/":
            await ask(page, "Is a refund possible?")
            await expect(page.get_by_role("article").last).to_contain_text("xxx")
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
