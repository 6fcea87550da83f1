"""Members: invited, signed in, renewed, signed out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

import guards
from chatbot.integrations.passwords import Passwords
from chatbot_house import Chatbot
from reception import PASSWORD, ask_as, bearer, call, enter, join, signed_in

HASHES = "password_hash_seconds_count"


async def test_a_member_is_invited_signs_in_and_asks(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Alice follows her link, signs in, is told who she is, and gets an answer from acme's documents."""
    headers = await signed_in(chatbot, "Alice@Example.com")
    status, me = await call(chatbot, "GET", "/api/me", **headers)
    assert (status, me["tenant"], me["kind"], me["role"]) == (200, "acme", "member", "member")
    assert await ask_as(chatbot, **headers) == 200
    assert audit_rows("signed_in")[0][1] == f"member {me['member_id']}"
    assert "alice" not in str(audit_rows("signed_in") + audit_rows("member_invited")).lower()


async def test_a_link_works_once_and_not_for_ever(chatbot: Chatbot) -> None:
    """A used link, one of before a newer one, and one of more than three days ago are refused alike."""
    _, invited = await chatbot.admin("POST", "/tenants/acme/members", {"email": "bob@example.com"})
    first = {"invitation": invited["invitation"], "password": PASSWORD}
    again = f"/tenants/acme/members/{invited['member_id']}/invitation"
    _, second = await chatbot.admin("POST", again)
    assert (await call(chatbot, "POST", "/api/invitations/accept", first))[0] == 401
    newer = {"invitation": second["invitation"], "password": PASSWORD}
    assert second["link"].endswith(second["invitation"])
    assert (await call(chatbot, "POST", "/api/invitations/accept", newer))[0] == 200
    assert (await call(chatbot, "POST", "/api/invitations/accept", newer))[0] == 401
    _, third = await chatbot.admin("POST", again)
    chatbot.clock.fast_forward(3 * 86400 + 1)
    late = {"invitation": third["invitation"], "password": PASSWORD}
    assert (await call(chatbot, "POST", "/api/invitations/accept", late))[0] == 401


async def test_a_link_with_one_digit_changed_opens_nothing(chatbot: Chatbot) -> None:
    """The secret of a link is compared, not only the row that it names."""
    _, invited = await chatbot.admin("POST", "/tenants/acme/members", {"email": "bob@example.com"})
    text = invited["invitation"]
    forged = text[:-1] + ("0" if text[-1] != "0" else "1")
    body = {"invitation": forged, "password": PASSWORD}
    assert (await call(chatbot, "POST", "/api/invitations/accept", body))[0] == 401


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "my name is carol!", "we work at globex"])
async def test_a_bad_password_is_refused_and_the_link_still_works(chatbot: Chatbot, password: str) -> None:
    """Short, monotonous, or holding a name that others know: refused with the reason, and nothing is used up."""
    _, invited = await chatbot.admin("POST", "/tenants/globex/members", {"email": "carol@example.com"})
    body = {"invitation": invited["invitation"], "password": password}
    status, problem = await call(chatbot, "POST", "/api/invitations/accept", body)
    assert (status, "password" in problem["detail"]) == (400, True)
    body["password"] = PASSWORD
    assert (await call(chatbot, "POST", "/api/invitations/accept", body))[0] == 200


async def test_who_is_unknown_looks_and_costs_the_same(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """An unknown tenant, an unknown address, a member without password and a wrong one: one answer, one hash each."""
    await join(chatbot, "alice@example.com")
    await chatbot.admin("POST", "/tenants/acme/members", {"email": "invited@example.com"})
    before = await chatbot.metric(HASHES)
    failed = [
        await enter(chatbot, "alice@example.com", password="not the right one"),
        await enter(chatbot, "nobody@example.com"),
        await enter(chatbot, "invited@example.com"),
        await enter(chatbot, "alice@example.com", tenant="nowhere"),
        await enter(chatbot, "alice@example.com", tenant="globex"),
    ]
    assert [status for status, _ in failed] == [401] * 5
    assert len({problem["detail"] for _, problem in failed}) == 1
    assert await chatbot.metric(HASHES) == before + 5
    acme, globex = (chatbot.tenants[name].tenant_id for name in ("acme", "globex"))
    assert [row[0] for row in audit_rows("auth_failure")] == [acme, acme, acme, None, globex]
    assert "nobody" not in str(audit_rows("auth_failure"))


async def test_the_hash_of_nobody_has_the_parameters_of_all() -> None:
    """What an unknown member is compared with is an argon2id hash of 19 MiB, 2 passes, 1 lane, and never right."""
    passwords = Passwords()
    assert await passwords.verify("", kept=None) is False
    made = await passwords.hash(PASSWORD)
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords._nobodys.split("$")[:4] == made.split("$")[:4]
    assert len(passwords._nobodys) == len(made)
    assert await passwords.verify(PASSWORD, kept=made)
    assert not await passwords.verify("another", kept=made)
    assert not await passwords.verify(PASSWORD, kept="no hash at all")


async def test_hashing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sign in at once, no more than two hashes are made at the same time."""
    passwords, running, most = Passwords(), 0, 0
    right = passwords._verify

    def watched(kept: str, password: str) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return right(kept, password)
        finally:
            running -= 1

    monkeypatch.setattr(passwords, "_verify", watched)
    await asyncio.gather(*(passwords.verify("x", kept=None) for _ in range(8)))
    assert 1 <= most <= 2


async def test_an_old_hash_is_renewed_at_the_next_sign_in(chatbot: Chatbot, superuser_url: str) -> None:
    """A hash made with weaker parameters works once more, and is then one of today's."""
    await join(chatbot, "alice@example.com")
    weak = await Passwords(memory_kib=8, passes=1).hash(PASSWORD)
    with psycopg.connect(superuser_url) as conn:
        conn.execute("UPDATE members SET password_hash = %s", (weak,))
    assert (await enter(chatbot, "alice@example.com"))[0] == 200
    with psycopg.connect(superuser_url) as conn:
        row = conn.execute("SELECT password_hash FROM members").fetchone()
    assert row is not None
    assert "m=19456,t=2,p=1" in row[0]
    assert (await enter(chatbot, "alice@example.com"))[0] == 200


async def test_signing_out_ends_the_session_within_a_second(chatbot: Chatbot) -> None:
    """After signing out, neither the access token nor the refresh token is good any more."""
    await join(chatbot, "alice@example.com")
    _, tokens = await enter(chatbot, "alice@example.com")
    headers = {"Authorization": bearer(tokens["access_token"])}
    assert await ask_as(chatbot, **headers) == 200
    assert (await call(chatbot, "POST", "/api/sign-out", **headers))[0] == 204
    chatbot.clock.fast_forward(1)
    assert await ask_as(chatbot, **headers) == 401
    body = {"refresh_token": tokens["refresh_token"]}
    assert (await call(chatbot, "POST", "/api/sign-in/refresh", body))[0] == 401


async def test_tokens_are_renewed_and_a_copied_one_ends_the_session(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """A refresh token works once. Whoever shows a used one has copied it: the session ends for both."""
    await join(chatbot, "alice@example.com")
    _, first = await enter(chatbot, "alice@example.com")
    chatbot.clock.fast_forward(16 * 60)
    assert await ask_as(chatbot, Authorization=bearer(first["access_token"])) == 401
    body = {"refresh_token": first["refresh_token"]}
    status, second = await call(chatbot, "POST", "/api/sign-in/refresh", body)
    assert status == 200
    assert await ask_as(chatbot, Authorization=bearer(second["access_token"])) == 200
    assert (await call(chatbot, "POST", "/api/sign-in/refresh", body))[0] == 401
    assert len(audit_rows("refresh_token_reused")) == 1
    chatbot.clock.fast_forward(1)
    assert await ask_as(chatbot, Authorization=bearer(second["access_token"])) == 401
    body = {"refresh_token": second["refresh_token"]}
    assert (await call(chatbot, "POST", "/api/sign-in/refresh", body))[0] == 401


async def test_a_session_ends_by_itself(chatbot: Chatbot) -> None:
    """After seven days the refresh token is too old."""
    await join(chatbot, "alice@example.com")
    _, tokens = await enter(chatbot, "alice@example.com")
    chatbot.clock.fast_forward(7 * 86400 + 1)
    body = {"refresh_token": tokens["refresh_token"]}
    assert (await call(chatbot, "POST", "/api/sign-in/refresh", body))[0] == 401


async def test_a_new_password_ends_the_other_sessions(chatbot: Chatbot) -> None:
    """Alice changes her password here; what she left open elsewhere ends, and the old password is refused."""
    here = await signed_in(chatbot, "alice@example.com")
    _, elsewhere = await enter(chatbot, "alice@example.com")
    wrong = {"current_password": "not the right one", "new_password": "another good long one"}
    assert (await call(chatbot, "POST", "/api/password", wrong, **here))[0] == 401
    right = {"current_password": PASSWORD, "new_password": "another good long one"}
    assert (await call(chatbot, "POST", "/api/password", right, **here))[0] == 204
    chatbot.clock.fast_forward(1)
    assert await ask_as(chatbot, **here) == 200
    assert await ask_as(chatbot, Authorization=bearer(elsewhere["access_token"])) == 401
    assert (await enter(chatbot, "alice@example.com"))[0] == 401
    assert (await enter(chatbot, "alice@example.com", password="another good long one"))[0] == 200


async def test_admins_administer_and_members_do_not(
    chatbot: Chatbot, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Carol, an admin, invites and lists; Bob, a member, an API key and globex's admin may not touch acme."""
    carol = await signed_in(chatbot, "carol@example.com", role="admin")
    bob = await signed_in(chatbot, "bob@example.com")
    dan = await signed_in(chatbot, "dan@example.com", tenant="globex", role="admin")
    status, _ = await call(chatbot, "POST", "/api/tenant/members", {"email": "e@example.com"}, **carol)
    assert status == 201
    assert audit_rows("member_invited")[-1][1].startswith("member ")
    _, listed = await call(chatbot, "GET", "/api/tenant/members", **carol)
    emails = [member["email"] for member in listed["members"]]
    assert emails == ["bob@example.com", "carol@example.com", "e@example.com"]
    for headers in (bob, {"X_Api_Key": chatbot.keys["acme"]}):
        status, problem = await call(chatbot, "GET", "/api/tenant/members", **headers)
        assert (status, bool(problem["remedy"])) == (403, True)
    _, of_globex = await call(chatbot, "GET", "/api/tenant/members", **dan)
    assert [member["email"] for member in of_globex["members"]] == ["dan@example.com"]
    victim = listed["members"][0]["id"]
    assert (await call(chatbot, "DELETE", f"/api/tenant/members/{victim}", **dan))[0] == 404


async def test_a_removed_member_and_a_former_admin_lose_their_rights_within_a_second(
    chatbot: Chatbot,
) -> None:
    """Roles are read from the row, not from the token; and a tenant cannot lose its last admin by itself."""
    carol = await signed_in(chatbot, "carol@example.com", role="admin")
    bob = await signed_in(chatbot, "bob@example.com", role="admin")
    ids = {
        member["email"]: member["id"]
        for member in (await call(chatbot, "GET", "/api/tenant/members", **carol))[1]["members"]
    }
    path = f"/api/tenant/members/{ids['bob@example.com']}"
    status, change = await call(chatbot, "PUT", f"{path}/role", {"role": "member"}, **carol)
    assert (status, change["previous"], change["undo"]["body"]) == (200, "admin", {"role": "admin"})
    chatbot.clock.fast_forward(1)
    assert (await call(chatbot, "GET", "/api/tenant/keys", **bob))[0] == 403
    own = f"/api/tenant/members/{ids['carol@example.com']}"
    assert (await call(chatbot, "DELETE", own, **carol))[0] == 409
    assert (await call(chatbot, "PUT", f"{own}/role", {"role": "member"}, **carol))[0] == 409
    assert (await call(chatbot, "DELETE", path, **carol))[0] == 204
    chatbot.clock.fast_forward(1)
    assert await ask_as(chatbot, **bob) == 401


async def test_the_number_of_members_is_bounded(chatbot: Chatbot) -> None:
    """At the quota the next member is refused with the limit, also when two come at once."""
    await chatbot.admin("PUT", "/tenants/acme/quotas", {"members": 2})
    invite = [
        chatbot.admin("POST", "/tenants/acme/members", {"email": f"{name}@example.com"}) for name in "abcd"
    ]
    answers = await asyncio.gather(*invite)
    assert sorted(status for status, _ in answers) == [201, 201, 403, 403]
    refused = next(problem for status, problem in answers if status == 403)
    assert (refused["type"].endswith("quota_reached"), "quota of 2" in refused["detail"]) == (True, True)


guards.install(globals())
