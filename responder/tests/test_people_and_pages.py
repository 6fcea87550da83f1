"""Who may see and do what, in the console and by links."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from house import SECRET, House
from responder.config.policies import load_policies
from responder.errors import ConfigError
from responder.integrations.links import Purpose, Signer

POLICIES = Path(__file__).parents[2] / "policies"


async def get(
    house: House, path: str, cookie: str | None = None, accept: str = "text/html"
) -> tuple[int, str, dict[str, str]]:
    headers = {"Accept": accept} | ({"Cookie": f"responder_session={cookie}"} if cookie else {})
    async with house.session.get(house.url + path, headers=headers, allow_redirects=False) as response:
        return response.status, await response.text(), dict(response.headers)


def session(house: House, person: str = "alice") -> str:
    return Signer(SECRET, house.clock).sign(Purpose.SESSION, person=person, lasts=timedelta(hours=1))


async def test_opening_the_link_does_nothing_pressing_the_button_acknowledges(house: House) -> None:
    """A mail scanner opens every link; it must not answer for Alice."""
    await house.fire()
    await house.work()
    path = house.world.pages[0]["ack_url"].removeprefix(house.settings.public_url)
    status, text, _ = await get(house, path)
    assert status == 200
    assert "I have it, Alice" in text
    assert (await house.incident())["incident"]["status"] == "triggered"
    async with house.session.post(
        house.url + path, headers={"Accept": "text/html"}, allow_redirects=False
    ) as response:
        assert response.status == 303
        assert response.headers["Location"] == "/incidents/INC-1"
        cookie = response.cookies["responder_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "strict"
    assert (await house.incident())["incident"]["commander"] == "alice"


@pytest.mark.parametrize("change", ["flip", "other-purpose", "expired", "garbage", "long"])
async def test_a_forged_link_is_refused(house: House, change: str) -> None:
    """Nothing but our own, unexpired, for this purpose."""
    await house.fire()
    await house.work()
    signer = Signer(SECRET, house.clock)
    token = house.world.pages[0]["ack_url"].rpartition("/")[2]
    match change:
        case "flip":
            token = ("A" if token[0] != "A" else "B") + token[1:]
        case "other-purpose":
            token = signer.sign(Purpose.SIGN_IN, person="alice", subject="INC-1", lasts=timedelta(hours=1))
        case "expired":
            house.clock.move(timedelta(hours=25))
        case "garbage":
            token = "..."
        case _:
            token = "a" * 5000
    async with house.session.post(
        f"{house.url}/ack/{token}", headers={"Accept": "application/json"}
    ) as response:
        assert response.status == 401
    assert (await house.incident())["incident"]["status"] == "triggered"


async def test_the_console_asks_to_sign_in(house: House) -> None:
    """No page and no datum of an incident without a person."""
    await house.fire()
    await house.work()
    status, _, headers = await get(house, "/incidents/INC-1")
    assert (status, headers["Location"]) == (303, "/sign-in")
    for path in (
        "/api/incidents",
        "/api/incidents/INC-1",
        "/api/incidents/INC-1/timeline",
        "/api/incidents/INC-1/stream",
    ):
        status, _, _ = await get(house, path)
        assert status == 401


async def test_the_incidents_page_shows_evidence_remedies_and_timeline(house: House) -> None:
    """The runbook's steps with what they gave beside them; and nothing loads from elsewhere."""
    await house.fire()
    await house.work()
    status, text, headers = await get(house, "/incidents/INC-1", session(house))
    assert status == 200
    for part in (
        "Which endpoint fails",
        "database ok",
        "switch the flag",
        "Answers stay correct",
        "Alice paged by webhook",
        "no data",
        "A change at Groq",
        "No improvement after 15 min",
    ):
        assert part in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "{{chatbot_admin_token}}" not in text
    assert "[redacted]" in text


async def test_what_an_alert_says_is_shown_as_text(house: House) -> None:
    """Labels and annotations are whatever a stranger made them: they are never markup."""
    alert = house.alert("HighErrorRate", "firing")
    alert["annotations"]["summary"] = "<script>alert(1)</script>"
    await house.deliver([alert])
    await house.work()
    _, text, _ = await get(house, "/incidents/INC-1", session(house))
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


async def test_a_form_from_another_site_does_nothing(house: House) -> None:
    """The person's cookie alone is not the person's will."""
    await house.fire()
    await house.work()
    headers = {
        "Cookie": f"responder_session={session(house)}",
        "Origin": "https://evil.example",
        "Accept": "text/html",
    }
    async with house.session.post(f"{house.url}/incidents/INC-1/acknowledge", headers=headers) as response:
        assert response.status == 403
    assert (await house.incident())["incident"]["status"] == "triggered"


async def test_a_security_incident_is_seen_by_security_and_by_who_is_paged_for_it(house: House) -> None:
    """Its list, page and stream are Dan's and Alice's, and Bob's once nobody answered and he is paged: a page leads somewhere."""

    async def seen_by(person: str) -> tuple[int, int, int]:
        status, _ = await house.as_person(person, "GET", "/api/incidents/INC-1")
        timeline, _ = await house.as_person(person, "GET", "/api/incidents/INC-1/timeline")
        _, listed = await house.as_person(person, "GET", "/api/incidents")
        return status, timeline, len(listed)

    await house.fire("TenantIsolationViolation", kind="security")
    await house.work()
    assert [await seen_by(person) for person in ("dan", "alice")] == [(200, 200, 1)] * 2
    assert [await seen_by(person) for person in ("bob", "carol")] == [(404, 404, 0)] * 2
    house.clock.move(timedelta(minutes=5))
    await house.work()
    assert await seen_by("bob") == (200, 200, 1)
    assert await seen_by("carol") == (404, 404, 0)


async def test_security_itself_is_paged_for_what_is_restricted_and_for_nothing_else(house: House) -> None:
    """The policies for restricted incidents go before those for all, whatever their order in the file."""
    await house.fire("TenantIsolationViolation", kind="security")
    await house.work()
    assert {page["person"] for page in (await house.incident())["pages"]} == {"alice", "dan"}
    await house.fire()
    await house.work()
    assert {page["person"] for page in (await house.incident("INC-2"))["pages"]} == {"alice"}


def test_policies_for_restricted_incidents_cover_no_other(tmp_path: Path) -> None:
    """A severity that only they name would page nobody for an incident of any other kind: it is refused at the start."""
    for file in POLICIES.glob("*.toml"):
        text = file.read_text(encoding="utf-8")
        (tmp_path / file.name).write_text(
            text.replace('name = "critical"', 'name = "critical"\nrestricted = true')
        )
    with pytest.raises(ConfigError, match=r"no policy covers P0; an incident of it would page nobody"):
        load_policies(tmp_path, {})


async def test_the_stream_tells_each_entry_as_it_is_written(house: House) -> None:
    """A page that is open sees the acknowledgement without asking again."""
    await house.fire()
    await house.work()
    headers = {"Cookie": f"responder_session={session(house)}", "Last-Event-ID": "4"}
    async with (
        asyncio.timeout(10),
        house.session.get(f"{house.url}/api/incidents/INC-1/stream", headers=headers) as response,
    ):
        first = (await response.content.readline()).decode()
        assert first == "id: 5\n"
        await house.press(house.world.pages[0]["ack_url"])
        while b"acknowledged" not in await response.content.readline():
            pass


async def test_people_can_assess_note_and_mitigate_by_hand(house: House) -> None:
    """Not every cure is in the runbook; the record is whole all the same."""
    await house.fire()
    await house.work()
    await house.press(house.world.pages[0]["ack_url"])
    assert (
        await house.as_person("alice", "POST", "/api/incidents/INC-1/note", text="looking at the deploy")
    )[0] == 204
    status, body = await house.as_person(
        "alice", "POST", "/api/incidents/INC-1/assess", severity="P1", text="fallback works"
    )
    assert (status, body["severity"]) == (200, "P1")
    status, body = await house.as_person(
        "bob", "POST", "/api/incidents/INC-1/mitigate", text="rolled back by hand"
    )
    assert (status, body["status"]) == (200, "mitigated")
    status, body = await house.as_person("bob", "POST", "/api/incidents/INC-1/assess", severity="P0")
    assert status == 409
    assert "Possible now: resolve" in body["detail"]


async def test_the_status_page_is_served_from_files(house: House) -> None:
    """It says what the runbook's template says, nothing of the alert, and needs no script."""
    status, _, _ = await get(house, "/status/")
    assert status == 404
    await house.fire()
    await house.work()
    status, text, headers = await get(house, "/status/")
    assert status == 200
    assert "some questions get an error instead of an answer" in text
    assert "93%" not in text
    assert "<script" not in text
    assert headers["Cache-Control"].startswith("public, max-age=10")
    for path in ("/status/../policies/people.toml", "/status/%2e%2e/%2e%2e/etc/passwd", "/status/v1"):
        assert (await get(house, path))[0] == 404


async def test_health_and_metrics_answer_without_a_person(house: House) -> None:
    """A probe has no cookie."""
    assert (await get(house, "/livez"))[0] == 200
    assert (await get(house, "/readyz"))[0] == 200
    assert "responder_pages_total" in (await get(house, "/metrics"))[1]
