"""Blocks: who can be blocked, for how long, and the way back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from ipaddress import ip_network
from typing import Any

import pytest

from chatbot.core.blocks import parse_network
from chatbot.core.client_address import TrustedProxies
from chatbot.errors import BadRequest
from chatbot.stages.agree import agree
from chatbot_house import Chatbot, served, settings_for

ATTACKER = "203.0.113.9"
PROXY = TrustedProxies((ip_network("127.0.0.0/8"),))


@pytest.fixture
async def behind_proxy(app_url: str, valkey_url: str) -> AsyncGenerator[Chatbot]:
    """Everything comes through a trusted proxy on this machine, so that a story can choose its address."""
    async with served(settings_for(app_url, valkey_url, trusted_proxies=PROXY)) as running:
        yield running


async def livez(chatbot: Chatbot, ip: str, path: str = "/openapi.json") -> int:
    async with chatbot.http.get(f"{chatbot.url}{path}", headers={"X-Forwarded-For": ip}) as answer:
        return answer.status


def an_order(ip: str = ATTACKER, **changes: Any) -> dict[str, Any]:
    return {"ip": ip, "seconds": 600, "reason": "tries keys", **changes}


async def test_a_block_holds_for_its_time_and_no_longer(behind_proxy: Chatbot) -> None:
    """The address gets 403 with the seconds that are left, others are answered; then it ends by itself."""
    status, _ = await behind_proxy.admin("POST", "/blocks", an_order())
    assert status == 200
    async with behind_proxy.http.get(
        f"{behind_proxy.url}/openapi.json", headers={"X-Forwarded-For": ATTACKER}
    ) as answer:
        document = await answer.json(content_type=None)
        assert (answer.status, document["type"]) == (403, "urn:bitb-chatbot:problem:blocked")
        assert 590 <= int(answer.headers["Retry-After"]) <= 600
        assert document["remedy"]
        assert "tries keys" not in str(document)
    assert await livez(behind_proxy, "203.0.113.10") == 200
    behind_proxy.clock.fast_forward(601)
    assert await livez(behind_proxy, ATTACKER) == 200
    assert (await behind_proxy.admin("GET", "/blocks"))[1] == {"blocks": []}


async def test_liveness_is_answered_whoever_asks(behind_proxy: Chatbot) -> None:
    """A block must not make a supervisor restart the process."""
    await behind_proxy.admin("POST", "/blocks", an_order())
    assert await livez(behind_proxy, ATTACKER, "/livez") == 200


async def test_both_ways_are_listed_audited_and_can_be_undone(
    behind_proxy: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Each answer's undo, sent as it is, brings back what was before."""
    _, made = await behind_proxy.admin("POST", "/blocks", an_order(), **{"X-On-Behalf-Of": "Alice"})
    listed = (await behind_proxy.admin("GET", "/blocks"))[1]["blocks"]
    assert [(each["network"], each["reason"]) for each in listed] == [(f"{ATTACKER}/32", "tries keys")]
    undo = made["undo"]
    status, lifted = await behind_proxy.admin(undo["method"], undo["path"].removeprefix("/api/admin"))
    assert (status, lifted["blocked"]) == (200, False)
    assert await livez(behind_proxy, ATTACKER) == 200
    undo = lifted["undo"]
    await behind_proxy.admin(undo["method"], undo["path"].removeprefix("/api/admin"), undo["body"])
    assert await livez(behind_proxy, ATTACKER) == 403
    (_, actor, detail), _ = audit_rows("ip_blocked")
    assert (actor, detail["network"], detail["on_behalf_of"]) == ("admin", f"{ATTACKER}/32", "Alice")
    assert len(audit_rows("ip_unblocked")) == 1


@pytest.mark.parametrize(
    ("ip", "hit", "spared"),
    [
        ("203.0.113.0/24", "203.0.113.200", "203.0.114.1"),
        ("2001:db8::5", "2001:db8::6", "2001:db8:0:1::5"),  # its whole /64
        ("::ffff:203.0.113.9", "203.0.113.9", "203.0.113.10"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
    ],
)
async def test_networks_are_blocked_whole(behind_proxy: Chatbot, ip: str, hit: str, spared: str) -> None:
    """An address within is refused, one beside it is not; inside of a blocked network the remedy names that network."""
    assert (await behind_proxy.admin("POST", "/blocks", an_order(ip)))[0] == 200
    assert (await livez(behind_proxy, hit), await livez(behind_proxy, spared)) == (403, 200)


async def test_unblocking_one_of_a_blocked_network_says_which_network(behind_proxy: Chatbot) -> None:
    """404, with the network that covers it; it can be lifted by its own name."""
    await behind_proxy.admin("POST", "/blocks", an_order("203.0.113.0/24"))
    status, document = await behind_proxy.admin("DELETE", f"/blocks/{ATTACKER}")
    assert (status, "203.0.113.0/24" in document["remedy"]) == (404, True)
    assert (await behind_proxy.admin("DELETE", "/blocks/203.0.113.0/24"))[0] == 200


async def test_one_address_can_be_asked_for(behind_proxy: Chatbot) -> None:
    """Not blocked, blocked as part of a network, and by its own block; a network counts only when all of it is blocked."""

    async def blocked(ip: str) -> tuple[bool, str | None]:
        status, body = await behind_proxy.admin("GET", f"/blocks/{ip}")
        assert status == 200
        return body["blocked"], body["by"] and body["by"]["network"]

    assert await blocked(ATTACKER) == (False, None)
    await behind_proxy.admin("POST", "/blocks", an_order("203.0.113.0/24"))
    assert await blocked(ATTACKER) == (True, "203.0.113.0/24")
    await behind_proxy.admin("POST", "/blocks", an_order())
    assert await blocked(ATTACKER) == (True, f"{ATTACKER}/32")
    assert await blocked("203.0.113.0%2F24") == (True, "203.0.113.0/24")
    assert await blocked("203.0.0.0/16") == (False, None)
    assert await blocked("2001%3Adb8%3A%3A5") == (False, None)
    await behind_proxy.admin("POST", "/blocks", an_order("2001:db8::5"))
    assert await blocked("2001:db8::6") == (True, "2001:db8::/64")
    behind_proxy.clock.fast_forward(601)
    assert await blocked(ATTACKER) == (False, None)
    status, document = await behind_proxy.admin("GET", "/blocks/nobody")
    assert (status, "203.0.113.9" in document["remedy"]) == (400, True)


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.0.0.0/16", "::1", "::ffff:127.0.0.1"])
async def test_nobody_shuts_everybody_out_by_mistake(behind_proxy: Chatbot, ip: str) -> None:
    """A trusted proxy or this machine is blocked only with force."""
    status, document = await behind_proxy.admin("POST", "/blocks", an_order(ip))
    assert (status, "force" in document["remedy"]) == (400, True)
    assert (await behind_proxy.admin("GET", "/blocks"))[1] == {"blocks": []}


async def test_nobody_shuts_themselves_out_by_mistake(behind_proxy: Chatbot) -> None:
    """Blocking the address that one comes from needs force, and then holds."""
    header = {"X-Forwarded-For": ATTACKER}
    assert (await behind_proxy.admin("POST", "/blocks", an_order(), **header))[0] == 400
    assert (await behind_proxy.admin("POST", "/blocks", an_order(force=True), **header))[0] == 200
    assert (await behind_proxy.admin("GET", "/blocks", **header))[0] == 403


@pytest.mark.parametrize(
    "text", ["", "x", "0.0.0.0/0", "203.0.113.9/24", "10.0.0.0/15", "2001::/16", "1.2.3", "1/8"]
)
def test_what_cannot_be_blocked_is_refused_with_a_remedy(text: str) -> None:
    """No address, host bits, or far too wide."""
    with pytest.raises(BadRequest) as refusal:
        parse_network(text)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0}, {"seconds": 2_592_001}, {"reason": ""}, {"reason": "a\nb"}, {"x": 1}]
)
async def test_a_body_that_is_not_meant_blocks_nobody(behind_proxy: Chatbot, wrong: dict[str, Any]) -> None:
    """Refused whole."""
    assert (await behind_proxy.admin("POST", "/blocks", an_order(**wrong)))[0] == 400
    assert (await behind_proxy.admin("GET", "/blocks"))[1] == {"blocks": []}


async def test_another_process_takes_the_block_over(
    behind_proxy: Chatbot, app_url: str, valkey_url: str
) -> None:
    """At its next look; and the one that lifts it wins over the one that made it."""
    async with served_again(app_url, valkey_url) as other:
        await behind_proxy.admin("POST", "/blocks", an_order())
        await agree(other.parts)
        assert await livez(other, ATTACKER) == 403
        await other.admin("DELETE", f"/blocks/{ATTACKER}")
        await agree(behind_proxy.parts)
        await agree(other.parts)
        assert (await livez(behind_proxy, ATTACKER), await livez(other, ATTACKER)) == (200, 200)


def served_again(app_url: str, valkey_url: str) -> Any:
    return served(settings_for(app_url, valkey_url, trusted_proxies=PROXY), tenants=())
