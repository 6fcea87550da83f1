"""`auth_attempts_total{ip}` and the list of top offenders."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from chatbot.core.client_address import TrustedProxies
from chatbot.core.offenders import Offenders
from chatbot.stages.offend import count_failure
from chatbot_house import Chatbot, served, settings_for

PROXY = TrustedProxies((ip_network("127.0.0.0/8"),))


@given(st.lists(st.sampled_from("abcdefghij"), max_size=200))
def test_the_sketch_never_underestimates(names: list[str]) -> None:
    """What it says at most is never less than the truth, what it says for certain never more; its size is bounded."""
    offenders, truth = Offenders(capacity=4), Counter(names)
    for name in names:
        offenders.note(name, 0.0)
    found = offenders.top(100)
    assert len(found) <= 4
    assert all(each.surely <= truth[each.name] <= each.count for each in found)
    often = {name for name, count in truth.items() if count > len(names) / 4}
    assert often <= {each.name for each in found}


def test_a_flood_of_addresses_does_not_hide_the_heavy_one() -> None:
    """A botnet of thousands, one try each, and one that insists: it is named, and no other."""
    offenders = Offenders(capacity=50)
    for n in range(5000):
        offenders.note(f"198.51.{n // 250}.{n % 250}", 0.0)
        if n % 5 == 0:
            offenders.note("203.0.113.9", 0.0)
    assert offenders.heavy() == {"203.0.113.9"}


def test_who_stopped_is_forgotten() -> None:
    """After an hour of silence, at the next failure of anybody, the old attacker is not heavy."""
    offenders = Offenders()
    for _ in range(200):
        offenders.note("203.0.113.9", 0.0)
    assert offenders.heavy() == {"203.0.113.9"}
    offenders.note("198.51.100.1", 3600.0)
    assert offenders.heavy() == frozenset()


async def test_the_attacker_is_listed_and_can_be_blocked(app_url: str, valkey_url: str) -> None:
    """From failed keys to the list, to a block, to `blocked` in the list."""
    async with served(settings_for(app_url, valkey_url, trusted_proxies=PROXY)) as chatbot:
        headers = {"X-Forwarded-For": "203.0.113.9"}
        for _ in range(25):
            await chatbot.admin("GET", "/flags", token="wrong", **headers)
        _, listed = await chatbot.admin("GET", "/top-offenders")
        (first,) = listed["offenders"]
        assert (first["network"], first["failures_at_least"], first["blocked"]) == (
            "203.0.113.9/32",
            25,
            False,
        )
        sample = 'auth_attempts_total{ip="203.0.113.9",status="failed",tenant_id="unknown"}'
        assert (
            await chatbot.metric(sample) == 6
        )  # from the twentieth on by name, before that among the others
        await chatbot.admin(
            "POST", "/blocks", {"ip": first["network"], "seconds": 60, "reason": "tries keys"}
        )
        _, listed = await chatbot.admin("GET", "/top-offenders")
        assert listed["offenders"][0]["blocked"] is True


async def test_the_number_of_series_is_bounded_and_old_ones_go(chatbot: Chatbot) -> None:
    """A hundred heavy attackers at many tenants make at most 200 series; when they stop, theirs are removed."""
    for n in range(100):
        for turn in range(40):
            count_failure(chatbot.parts, tenant_label=f"tenant-{turn % 15}", ip=f"203.0.113.{n}")
    _, text = await chatbot.get("/metrics")
    named = [line for line in text.splitlines() if line.startswith('auth_attempts_total{ip="203.0.113')]
    assert 0 < len(named) <= 200
    chatbot.clock.fast_forward(7200)
    count_failure(chatbot.parts, tenant_label="unknown", ip="198.51.100.1")
    _, text = await chatbot.get("/metrics")
    assert 'ip="203.0.113' not in text
