"""What must not wait for a rule is told directly, over a signed call, and stays open until a person closes it."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from house import HOOK_KEY, NEXT_HOOK_KEY, START, House
from responder.config import load_settings
from responder.errors import ConfigError

EVENT: dict[str, Any] = {
    "id": "0196f7f2-5a5e-7c1e-9a39-0d5e5a0e8a11",
    "event": "tenant_isolation_violation",
    "tenant_id": "acme",
    "source": "retrieval",
    "occurred_at": START.isoformat(),
    "detail": {"rows": 2},
}


def signed(house: House, body: bytes, *, key: str = HOOK_KEY, age: float = 0) -> str:
    """As docs/reference/security-events.md says it, on purpose without the program's own function."""
    timestamp = int(house.clock.now().timestamp() - age)
    mac = hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={mac}"


async def tell(house: House, *, signature: str | None = None, **changes: Any) -> tuple[int, dict[str, Any]]:
    body = json.dumps({**EVENT, **changes}).encode()
    return await send(house, body, signed(house, body) if signature is None else signature)


async def send(house: House, body: bytes, signature: str) -> tuple[int, dict[str, Any]]:
    headers = {"X-Bitb-Signature": signature, "Content-Type": "application/json"}
    async with house.session.post(f"{house.url}/hooks/security", data=body, headers=headers) as response:
        return response.status, await response.json()


async def opened(house: House) -> list[str]:
    """The names of all incidents, as security sees them."""
    await house.work()
    _, found = await house.as_person("dan", "GET", "/api/incidents")
    return [incident["name"] for incident in found]


async def test_an_event_opens_a_restricted_incident_at_once(house: House) -> None:
    """P0, security, the runbook's entry, a page to security and to the person on call; nobody else learns that it exists."""
    assert await tell(house) == (200, {"accepted": True, "new": True})
    await house.work()
    incident = (await house.incident())["incident"]
    assert (incident["alertname"], incident["severity"], incident["kind"]) == (
        "TenantIsolationViolation", "P0", "security",
    )  # fmt: skip
    assert incident["restricted"]
    assert incident["runbook_entry"] == "tenant-isolation-violation"
    assert incident["opened_at"] == START.isoformat().replace("+00:00", "Z")
    assert {page["person"] for page in (await house.incident())["pages"]} == {"alice", "dan"}
    for person, status, listed in (("dan", 200, 1), ("alice", 200, 1), ("bob", 404, 0), ("carol", 404, 0)):
        assert (await house.as_person(person, "GET", "/api/incidents/INC-1"))[0] == status
        assert len((await house.as_person(person, "GET", "/api/incidents"))[1]) == listed
    assert any("tenant acme, seen by retrieval" in text for text in await house.told())


async def test_the_counter_is_the_second_line(house: House) -> None:
    """The rule of the same name, which fires later, joins; it does not open a second incident."""
    await tell(house)
    await house.work()
    await house.fire("TenantIsolationViolation", kind="security", tier="contract")
    assert await opened(house) == ["INC-1"]


async def test_the_same_event_again_changes_nothing(house: House) -> None:
    """A sender that lost the answer sends again, signed anew; whoever replays a recorded call gets no further."""
    body = json.dumps(EVENT).encode()
    recorded = signed(house, body)
    assert (await send(house, body, recorded))[1]["new"] is True
    house.clock.move(timedelta(seconds=5))
    assert await send(house, body, recorded) == (200, {"accepted": True, "new": False})
    house.clock.move(timedelta(minutes=20))
    assert await tell(house) == (200, {"accepted": True, "new": False})
    assert await opened(house) == ["INC-1"]
    assert (await house.kinds()).count("alert_received") == 1


async def test_each_violation_is_told_in_the_one_incident(house: House) -> None:
    """A second event joins what is open and is written into its timeline."""
    await tell(house)
    await tell(house, id="another", tenant_id="globex", source="cache")
    assert await opened(house) == ["INC-1"]
    assert (await house.kinds()).count("alert_received") == 2


@pytest.mark.parametrize("age", [301.0, -301.0])
async def test_a_recorded_call_is_worth_nothing_later(house: House, age: float) -> None:
    """Five minutes before or after now, and not a second more; the answer says how far off it was."""
    body = json.dumps(EVENT).encode()
    status, problem = await send(house, body, signed(house, body, age=age))
    assert status == 401
    assert "301 s" in problem["detail"]
    within = 300.0 if age > 0 else -300.0
    assert (await send(house, body, signed(house, body, age=within)))[0] == 200


async def test_only_who_has_a_key_is_heard(house: House) -> None:
    """No signature, nonsense, a foreign key, a body changed after it was signed, a time changed after it was signed."""
    body = json.dumps(EVENT).encode()
    genuine = signed(house, body)
    timestamp, mac = genuine.removeprefix("t=").split(",v1=")
    for signature in (
        "", "sha256=abc", mac, genuine.replace(",v1=", ",v2="), signed(house, body, key="x" * 40), signed(house, body + b" "),
        f"t={int(timestamp) + 1},v1={mac}", f"t={timestamp},v1={mac[:-1]}{'0' if mac[-1] != '0' else '1'}",
    ):  # fmt: skip
        status, _ = await send(house, body, signature)
        assert status == 401, signature
    assert await opened(house) == []


async def test_a_key_is_changed_without_a_gap(house: House) -> None:
    """Two keys are active; either signs, and a header may carry the signatures of both."""
    for number, key in enumerate((HOOK_KEY, NEXT_HOOK_KEY)):
        body = json.dumps({**EVENT, "id": f"e{number}"}).encode()
        assert (await send(house, body, signed(house, body, key=key)))[0] == 200
    body = json.dumps({**EVENT, "id": "both"}).encode()
    second = signed(house, body, key=NEXT_HOOK_KEY).partition(",")[2]
    both = f"{signed(house, body, key='an-old-key-that-is-not-active-any-more')},{second}"
    assert (await send(house, body, both))[0] == 200


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"event": "disk_full"}, "Known: auth_attack, tenant_isolation_violation"),
        ({"occurred_at": "2026-03-02T03:00:00"}, "occurred_at"),
        ({"tenant_id": ""}, "tenant_id"),
        ({"source": "a\u0000b"}, "source"),
        ({"severity": "P2"}, "severity"),
        ({"detail": {"rows": "x" * 4_000}}, "4000 are allowed"),
        ({"id": "x" * 65}, "id"),
    ],
)
async def test_what_is_not_understood_is_refused_with_the_reason(
    house: House, changes: dict[str, Any], says: str
) -> None:
    """400 and what to mend: a sender that is wrong must notice."""
    status, problem = await tell(house, **changes)
    assert status == 400
    assert says in problem["detail"]
    assert "Nothing was stored" in problem["detail"]
    assert await opened(house) == []


async def test_quiet_does_not_end_it_a_person_does(house: House) -> None:
    """The counter is quiet for a day and every check passes: it stays open until Dan closes it, and says why."""
    await tell(house)
    await house.work()
    await house.fire("TenantIsolationViolation", kind="security")
    await house.work()
    await house.quiet("TenantIsolationViolation", kind="security")
    await house.fast_forward(hours=24)
    assert (await house.incident())["incident"]["status"] == "triggered"
    path = "/api/incidents/INC-1/resolve"
    assert (await house.as_person("dan", "POST", path, text="  "))[0] == 400
    status, _ = await house.as_person("dan", "POST", path, text="policy mended, tenants told")
    assert status == 200
    await house.work()
    shown = await house.incident()
    assert shown["incident"]["status"] == "resolved"
    assert {alert["status"] for alert in shown["alerts"]} == {"resolved"}
    assert "Dan closes it: policy mended, tenants told" in await house.told()
    assert "postmortem_written" in await house.kinds()


async def test_what_follows_a_closed_one_is_a_new_incident(house: House) -> None:
    """The same event, repeated, opens nothing again; a new one does."""
    await tell(house)
    await house.work()
    await house.as_person("dan", "POST", "/api/incidents/INC-1/resolve", text="mended")
    await tell(house)
    assert await opened(house) == ["INC-1"]
    await tell(house, id="later")
    assert sorted(await opened(house)) == ["INC-1", "INC-2"]


async def test_an_incident_whose_rule_still_fires_is_not_closed_by_hand(house: House) -> None:
    """What is not latched says by itself when it is over; closing it meanwhile would hide it."""
    await house.fire()
    await house.work()
    path = "/api/incidents/INC-1/resolve"
    status, problem = await house.as_person("alice", "POST", path, text="enough")
    assert status == 409
    assert "1 alert of it fires still" in problem["detail"]
    await house.quiet()
    await house.work()
    assert (await house.as_person("alice", "POST", path, text="seen to be well"))[0] == 200
    assert (await house.incident())["incident"]["status"] == "resolved"


async def test_without_a_key_nobody_is_believed_and_nothing_is_lost(
    tmp_path: Path, responder_database: str
) -> None:
    """503, which a sender tries again: the event is taken once the key is set."""
    async with House(responder_database, tmp_path, hook_keys="") as house:
        status, problem = await tell(house)
        assert status == 503
        assert "RESPONDER_HOOK_KEYS is not set" in problem["detail"]


@pytest.mark.parametrize(
    "keys", ["short", f"{HOOK_KEY},{NEXT_HOOK_KEY},a-third-key-that-is-one-too-many-here"]
)
def test_keys_are_checked_at_the_start(keys: str, tmp_path: Path) -> None:
    """A key that can be guessed, or a third one that was forgotten, stops the program with the reason."""
    with pytest.raises(ConfigError, match="RESPONDER_HOOK_KEYS has"):
        load_settings({"RESPONDER_HOOK_KEYS": keys})
