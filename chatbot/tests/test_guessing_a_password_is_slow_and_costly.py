"""Login defence: by place, account, address and everybody; and nobody can lock another person out."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from altcha import Challenge, Payload, solve_challenge

from chatbot.core.client_address import TrustedProxies
from chatbot.core.defence import (
    ACCOUNT_CHALLENGED,
    ACCOUNT_LOCKED,
    EVERYBODY_CHALLENGED,
    Proof,
    Tallies,
    Tally,
    attempt,
    demand,
)
from chatbot.errors import Unauthenticated
from chatbot.integrations.proof_of_work import LASTS_SECONDS, ProofOfWork
from chatbot.stages.defend import defended
from chatbot_house import Chatbot, served, settings_for, wire_to
from reception import PASSWORD, call, join

PROXY = TrustedProxies((ip_network("127.0.0.0/8"),))
ALICE, MALLORY = "198.51.100.1", "203.0.113.9"
WRONG = "not the right one"
NOW = 1_900_000_000.0


@pytest.fixture
async def house(app_url: str, valkey_url: str) -> AsyncGenerator[Chatbot]:
    async with served(settings_for(app_url, valkey_url, trusted_proxies=PROXY)) as chatbot:
        await join(chatbot, "alice@example.com")
        yield chatbot


async def enter(
    chatbot: Chatbot, ip: str, password: str = WRONG, *, email: str = "alice@example.com", **more: Any
) -> tuple[int, Any]:
    body = {"tenant": "acme", "email": email, "password": password, **more}
    return await call(chatbot, "POST", "/api/sign-in", body, X_Forwarded_For=ip)


async def fail_as_others(chatbot: Chatbot, times: int, email: str = "alice@example.com") -> None:
    """So many failures for the account from as many addresses, without hashing."""
    for n in range(times):
        tried = attempt(tenant="acme", email=email, address=ip_address(f"192.0.2.{n}"))
        now = chatbot.clock.clocks().wall()
        chatbot.parts.local_failures.take(tried, now)
        await chatbot.parts.failures.take(tried, now)


def solve(document: dict[str, Any]) -> str:
    challenge = Challenge.from_dict(document["challenge"])
    solution = solve_challenge(challenge)
    assert solution is not None
    return Payload(challenge, solution).to_base64()


async def test_each_failure_makes_the_next_wait_longer(house: Chatbot) -> None:
    """Three are free; then a wait is told by Retry-After, not by holding the connection, and nothing is hashed."""
    assert [(await enter(house, MALLORY))[0] for _ in range(3)] == [401, 401, 401]
    hashes = await house.metric("password_hash_seconds_count")
    status, document = await enter(house, MALLORY, PASSWORD)
    assert (status, document["type"]) == (429, "urn:bitb-chatbot:problem:sign_in_delayed")
    assert await house.metric("password_hash_seconds_count") == hashes
    house.clock.fast_forward(1.1)
    assert (await enter(house, MALLORY))[0] == 401
    house.clock.fast_forward(1.1)
    assert (await enter(house, MALLORY))[0] == 429
    house.clock.fast_forward(1)
    assert (await enter(house, MALLORY, PASSWORD))[0] == 200


async def test_mallory_cannot_lock_alice_out(house: Chatbot) -> None:
    """With the account softly locked, Alice's known place is let in at once; Mallory needs a hard proof for each guess."""
    assert (await enter(house, ALICE, PASSWORD))[0] == 200
    await fail_as_others(house, ACCOUNT_LOCKED)
    status, document = await enter(house, MALLORY)
    assert (status, document["type"]) == (403, "urn:bitb-chatbot:problem:challenge_required")
    assert document["challenge"]["parameters"]["data"]["proof"] == Proof.HARD
    assert (await enter(house, ALICE, PASSWORD))[0] == 200


async def test_a_solved_challenge_lets_alice_in_from_a_new_place_once(house: Chatbot) -> None:
    """After some failures a proof is asked for; it serves for one attempt, and then the place is known."""
    await fail_as_others(house, ACCOUNT_CHALLENGED)
    status, document = await enter(house, ALICE, PASSWORD)
    assert status == 403
    proof = solve(document)
    assert (await enter(house, ALICE, "mistyped", proof=proof))[0] == 401
    assert (await enter(house, ALICE, PASSWORD, proof=proof))[0] == 403  # used
    _, document = await enter(house, ALICE, PASSWORD)
    assert (await enter(house, ALICE, PASSWORD, proof=solve(document)))[0] == 200
    await fail_as_others(house, ACCOUNT_LOCKED)
    assert (await enter(house, ALICE, PASSWORD))[0] == 200


async def test_a_link_opens_a_locked_account(house: Chatbot) -> None:
    """Setting the password by a link forgets the account's failures."""
    await fail_as_others(house, ACCOUNT_LOCKED)
    assert (await enter(house, ALICE, PASSWORD))[0] == 403
    _, invited = await house.admin("POST", "/tenants/acme/members", {"email": "bob@example.com"})
    await fail_as_others(house, ACCOUNT_LOCKED, "bob@example.com")
    accept = {"invitation": invited["invitation"], "password": PASSWORD}
    assert (await call(house, "POST", "/api/invitations/accept", accept))[0] == 200
    assert (await enter(house, ALICE, PASSWORD, email="bob@example.com"))[0] == 200


async def test_an_operator_unlocks(
    house: Chatbot, command: Callable[..., Any], audit_rows: Callable[[str], list[Any]]
) -> None:
    """`chatbot unlock` opens the account, audited."""
    await fail_as_others(house, ACCOUNT_LOCKED)
    run = command("unlock", "--tenant", "acme", "Alice@example.com")
    out, err = await asyncio.to_thread(run.communicate, timeout=60)
    assert (run.returncode, "forgotten" in out) == (0, True), err
    assert (await enter(house, ALICE, PASSWORD))[0] == 200
    assert len(audit_rows("sign_in_unlocked")) == 1


async def test_who_does_not_exist_is_treated_the_same(house: Chatbot) -> None:
    """Waits and challenges come at the same attempts, with the same words."""
    told: list[list[tuple[int, str, str]]] = []
    for email, ip in (("alice@example.com", MALLORY), ("nobody@example.com", "203.0.113.10")):
        found = [await enter(house, ip, email=email) for _ in range(4)]
        told.append([(status, document["title"], document["detail"]) for status, document in found])
    assert told[0] == told[1]


async def test_a_thousand_at_once_are_a_thousand(house: Chatbot) -> None:
    """Guesses sent side by side are counted before they are tried: only the free ones get to a hash."""
    hashes = await house.metric("password_hash_seconds_count")
    found = await asyncio.gather(*(enter(house, MALLORY) for _ in range(30)))
    refused = sum(status == 429 for status, _ in found)
    assert await house.metric("password_hash_seconds_count") - hashes == 30 - refused
    assert refused >= 20


async def test_without_redis_the_defence_stands(app_url: str, valkey_url: str) -> None:
    """Redis gone: this process counts for itself, and a used challenge stays used."""
    async with wire_to(valkey_url) as redis:
        settings = settings_for(app_url, redis.url, trusted_proxies=PROXY)
        async with served(settings) as chatbot:
            await join(chatbot, "alice@example.com")
            await redis.cut()
            found = [(await enter(chatbot, MALLORY))[0] for _ in range(4)]
            assert found == [401, 401, 401, 429]


async def test_what_is_no_guess_costs_nothing(chatbot: Chatbot) -> None:
    """An error of ours in the middle takes the charge back; a wrong password does not."""
    tried = attempt(tenant="acme", email="x@example.com", address=ip_address(MALLORY))
    now = chatbot.clock.clocks().wall()
    for fault in (RuntimeError, asyncio.CancelledError):
        with pytest.raises(fault):
            async with defended(chatbot.parts, tried, proof=None):
                raise fault
    with pytest.raises(Unauthenticated):
        async with defended(chatbot.parts, tried, proof=None):
            raise Unauthenticated("no")
    assert (await chatbot.parts.failures.take(tried, now)).account.failures == 1
    assert chatbot.parts.local_failures.take(tried, now).account.failures == 1


def known(**changes: Any) -> Tallies:
    nothing = Tally()
    return Tallies(
        **{
            "place": nothing,
            "account": nothing,
            "address": nothing,
            "everybody": nothing,
            "known": False,
            **changes,
        }
    )


def many(n: int, ago: float = 1.0) -> Tally:
    return Tally(failures=n, last_at=NOW - ago)


@pytest.mark.parametrize(
    ("tallies", "wait", "proof"),
    [
        (known(), 0, Proof.NONE),
        (known(place=many(2, 0)), 0, Proof.NONE),
        (known(place=many(3, 0)), 1, Proof.NONE),
        (known(place=many(6, 0)), 8, Proof.NONE),
        (known(place=many(50, 0)), 60, Proof.NONE),
        (known(place=many(50, 900)), 0, Proof.NONE),  # forgotten
        (known(account=many(5)), 0, Proof.USUAL),
        (known(account=many(20)), 0, Proof.HARD),
        (
            known(account=many(10_000), known=True),
            0,
            Proof.NONE,
        ),  # nobody else's failures make the known wait
        (known(address=many(10)), 0, Proof.USUAL),
        (known(address=many(60, 0)), 300, Proof.USUAL),
        (known(everybody=many(EVERYBODY_CHALLENGED)), 0, Proof.USUAL),  # a botnet, one guess each
        (known(everybody=many(EVERYBODY_CHALLENGED), known=True), 0, Proof.NONE),
    ],
)
def test_what_failures_ask_for(tallies: Tallies, wait: float, proof: Proof) -> None:
    """Only the place and the address wait; only what is unknown proves its work."""
    asked = demand(tallies, NOW)
    assert (asked.wait, asked.proof) == (pytest.approx(wait), proof)


def changed(text: str, **parameters: Any) -> str:
    document = json.loads(base64.b64decode(text))
    document["challenge"]["parameters"].update(parameters)
    return base64.b64encode(json.dumps(document).encode()).decode()


def test_a_forged_or_spliced_challenge_proves_nothing() -> None:
    """Another algorithm, no cost, a later end, an easier prefix, another secret, another's solution: all refused."""
    import time

    now, work = time.time(), ProofOfWork(b"s" * 32)
    text = solve({"challenge": work.challenge(Proof.USUAL, now=now)})
    solved = work.check(text, now=now)
    assert solved is not None
    assert solved.proof is Proof.USUAL
    for forged in (
        changed(text, algorithm="SHA-256"),
        changed(text, cost=1),
        changed(text, expiresAt=int(now) + 10**6),
        changed(text, keyPrefix=""),
        changed(text, data={"proof": 2}),
        changed(text, nonce="00"),
        "",
        "x",
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b'{"challenge": 1, "solution": {}}').decode(),
        base64.b64encode(b"[" * 3000).decode(),
    ):
        assert work.check(forged, now=now) is None
    assert ProofOfWork(b"t" * 32).check(text, now=now) is None
    assert work.check(text, now=now + LASTS_SECONDS) is None
    other = json.loads(base64.b64decode(solve({"challenge": work.challenge(Proof.USUAL, now=now)})))
    spliced = json.loads(base64.b64decode(text))
    spliced["challenge"] = other["challenge"]
    assert work.check(base64.b64encode(json.dumps(spliced).encode()).decode(), now=now) is None
