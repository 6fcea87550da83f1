"""What the person on call does at 3 a.m., in a real browser of a phone's size."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from house import House
from responder.integrations.links import Purpose, Signer

PHONE = {"width": 390, "height": 844}
pytestmark = pytest.mark.browser


async def phone(browser: Browser, *, scripts: bool = True) -> Page:
    context = await browser.new_context(viewport=PHONE, java_script_enabled=scripts)
    return await context.new_page()


async def acknowledged(house: House, page: Page) -> None:
    """Alice opens the link of her page and presses its one button."""
    await house.fire()
    await house.work()
    await page.goto(house.world.pages[0]["ack_url"])
    await page.get_by_role("button", name="I have it, Alice").click()
    await page.wait_for_url("**/incidents/INC-1")


async def press(page: Page, button: str) -> None:
    """Presses a button and waits for the page that its form leads to."""
    async with page.expect_navigation():
        await page.get_by_role("button", name=button).first.click()


async def test_from_the_pages_link_to_the_remedy(house: House, browser: Browser) -> None:
    """Alice acknowledges from the link, sees what was found, looks what a remedy would do, and does it."""
    page = await phone(browser)
    await acknowledged(house, page)
    await expect(page.get_by_role("heading", name="High Error Rate")).to_be_visible()
    await expect(page.get_by_text("commander Alice")).to_be_visible()
    await press(page, "Look what it would do")
    await house.work()
    await expect(page.get_by_role("button", name="Do it")).to_be_visible()  # the stream brought it
    await press(page, "Do it")
    await house.work()
    await expect(page.locator("#remedies").get_by_text("verified", exact=True)).to_be_visible()
    assert house.world.flags == {"rerank": False}


async def test_everything_works_without_javascript(house: House, browser: Browser) -> None:
    """A browser that runs no script shows all of it, and its buttons work."""
    page = await phone(browser, scripts=False)
    await acknowledged(house, page)
    await press(page, "Look what it would do")
    await house.work()
    await page.reload()
    await press(page, "Do it")
    await house.work()
    assert house.world.flags == {"rerank": False}
    await page.get_by_label("A note for the timeline").fill("Customers say it works again")
    await press(page, "Add the note")
    await expect(page.get_by_text("Customers say it works again")).to_be_visible()


async def test_nothing_is_wider_than_the_phone(house: House, browser: Browser) -> None:
    """No page scrolls sideways, whatever a query or a log printed."""
    house.world.samples = {"http_requests_total": [({"route": "/api/" + "x" * 300, "status": "502"}, 4.0)]}
    page = await phone(browser)
    await acknowledged(house, page)
    for path in ("/", "/incidents/INC-1", "/status/"):
        await page.goto(house.url + path)
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"], path


async def test_a_wrong_address_is_told_as_a_page(house: House, browser: Browser) -> None:
    """A mistyped address gives a page that says so and leads to the incidents, not a line of JSON."""
    page = await phone(browser)
    token = Signer(house.settings.secret_key, house.clock).sign(
        Purpose.SIGN_IN, person="alice", lasts=timedelta(minutes=5)
    )
    await page.goto(f"{house.url}/sign-in?token={token}")
    await press(page, "Sign in")
    answer = await page.goto(f"{house.url}/incidents")
    assert answer is not None
    assert answer.status == 404
    await page.get_by_role("link", name="All incidents").click()
    await expect(page.get_by_role("heading", name="Incidents")).to_be_visible()


ASKING = """# Runbook

## High Error Rate

**Alert:** `HighErrorRate`
**Severity:** P0

### Remediation

**Immediate:** block the address.

```http
### Preview
GET {{chatbot}}/api/admin/blocks/{{suspect_ip}}

### Run
POST {{chatbot}}/api/admin/blocks
Content-Type: application/json

{"ip": "{{suspect_ip}}"}

### Verify
# expect blocked = true
GET {{chatbot}}/api/admin/blocks/{{suspect_ip}}
```
"""
ASK = """
[ask.suspect_ip]
prompt = "The address to block"
pattern = '[0-9]{1,3}(\\.[0-9]{1,3}){3}'
"""


@pytest.fixture
async def asking(responder_database: str, tmp_path: Path) -> AsyncGenerator[House]:
    """The house, whose remedy asks for an address."""
    runbook = tmp_path / "asking.md"
    runbook.write_text(ASKING)
    async with House(responder_database, tmp_path, runbook=runbook, bindings=ASK) as opened:
        yield opened


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_the_remedy_asks_and_a_wrong_answer_can_be_mended(
    asking: House, browser: Browser, scripts: bool
) -> None:
    """Alice mistypes the address, is told beside the field, mends what she typed, sees it in the preview, and does it."""
    page = await phone(browser, scripts=scripts)
    await acknowledged(asking, page)
    field = page.get_by_label("The address to block")
    await field.fill("203.0.113.9x")
    await press(page, "Look what it would do")
    await expect(field).to_have_value("203.0.113.9x")
    await expect(field).to_have_accessible_description(re.compile("'203.0.113.9x'; it must match"))
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await field.fill(" 203.0.113.9 ")
    await press(page, "Look what it would do")
    await asking.work()
    await page.reload()
    await expect(page.get_by_text("suspect_ip = 203.0.113.9")).to_be_visible()
    await expect(field).to_have_value("203.0.113.9")
    # What is approved stands above, what another look would take below: a field that is changed now changes no approval.
    order = await page.locator("#remedies button, #remedies input:not([type=hidden])").all_inner_texts()
    assert order == ["Do it", "", "Look again"]
    await field.fill("203.0.113.10")
    await press(page, "Do it")
    await asking.work()
    assert asking.world.blocks == {"203.0.113.9": {"ip": "203.0.113.9"}}


async def test_what_is_being_typed_survives_the_news(asking: House, browser: Browser) -> None:
    """An entry arrives while Alice types: the page shows it, the field keeps her words and the cursor, an error stays."""
    page = await phone(browser)
    await acknowledged(asking, page)
    field = page.get_by_label("The address to block")
    await field.press_sequentially("203.0")
    await asking.as_person("bob", "POST", "/api/incidents/INC-1/note", text="I look at the firewall")
    await expect(page.get_by_text("I look at the firewall")).to_be_visible()
    await expect(field).to_be_focused()
    await field.press_sequentially(".113")
    await expect(field).to_have_value("203.0.113")
    await press(page, "Look what it would do")
    await asking.as_person("bob", "POST", "/api/incidents/INC-1/note", text="It is not the firewall")
    await expect(page.get_by_text("It is not the firewall")).to_be_visible()
    await expect(field).to_have_accessible_description(re.compile("it must match"))
