"""Tokens: only what this service signed, for this purpose, and in time."""

from __future__ import annotations

import ast
import base64
import hmac
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

import chatbot
from chatbot.core.tenancy import TenantId
from chatbot.core.tokens import Audience, Grant
from chatbot.errors import Unauthenticated
from chatbot.integrations.tokens import ISSUER, TokenSigner
from chatbot_house import SIGNING_KEYS, Chatbot
from reception import ask_as, bearer, call, enter, join

NOW = 1_800_000_000
NEW, OLD = SIGNING_KEYS
GRANT = Grant(
    audience=Audience.MEMBER, tenant_id=TenantId(UUID(int=1)), subject=UUID(int=2), session_id=UUID(int=3),
    issued_at=NOW, expires_at=NOW + 900,
)  # fmt: skip


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def header_of(token: str) -> dict[str, Any]:
    header = token.split(".", maxsplit=1)[0]
    return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(token: str, *, key: str = NEW, alg: str = "HS256", **changes: Any) -> str:
    """The token's claims with changes, signed again; a change to None takes the claim out."""
    claims = {name: value for name, value in {**claims_of(token), **changes}.items() if value is not None}
    header = {**header_of(token), "alg": alg}
    return jwt.encode(header, claims, OctKey.import_key(key), algorithms=[alg])


def forgeries(token: str) -> dict[str, str]:
    head, payload, signature = token.split(".")
    another = "a-key-that-nobody-here-has-ever-seen-before"
    return {
        "alg none": f"{part({**header_of(token), 'alg': 'none'})}.{payload}.",
        "alg none with the signature": f"{part({**header_of(token), 'alg': 'none'})}.{payload}.{signature}",
        "another algorithm of the same key": signed(token, alg="HS512"),
        "another key": signed(token, key=another),
        "another tenant, not signed": f"{head}.{part({**claims_of(token), 'tid': str(uuid4())})}.{signature}",
        "another audience": signed(token, aud="somebody/else"),
        "no audience": signed(token, aud=None),
        "two audiences": signed(token, aud=[Audience.MEMBER, Audience.WIDGET]),
        "another issuer": signed(token, iss="somebody"),
        "no issuer": signed(token, iss=None),
        "no expiry": signed(token, exp=None),
        "an expiry that is no number": signed(token, exp="never"),
        "no session": signed(token, sid=None),
        "no tenant": signed(token, tid=None),
        "a tenant that is no id": signed(token, tid="acme"),
        "a future time of issue": signed(token, iat=claims_of(token)["iat"] + 600),
        "not three parts": "a.b",
        "no signature": f"{head}.{payload}.",
        "too long": token + "x" * 3000,
    }


@pytest.mark.parametrize("forgery", forgeries(TokenSigner(SIGNING_KEYS).issue(GRANT)))
def test_a_forged_token_is_refused(forgery: str) -> None:
    """Signature, algorithm, issuer, audience, expiry and every claim are needed."""
    signer = TokenSigner(SIGNING_KEYS)
    good = signer.issue(GRANT)
    assert signer.read(good, now=NOW + 1) == GRANT
    assert signer.read(signed(good), now=NOW + 1) == GRANT  # signing again is no fault by itself
    with pytest.raises(Unauthenticated):
        signer.read(forgeries(good)[forgery], now=NOW + 1)


def test_an_expired_token_is_refused_to_the_second() -> None:
    """A token is good until the second of its expiry, and not in it."""
    signer = TokenSigner(SIGNING_KEYS)
    token = signer.issue(GRANT)
    assert signer.read(token, now=NOW + 899.9) == GRANT
    with pytest.raises(Unauthenticated, match="expired"):
        signer.read(token, now=NOW + 900)


def test_keys_rotate_without_a_gap() -> None:
    """Before, during and after a rotation: the old key is believed as long as it is named, and signs no more."""
    before = TokenSigner([OLD]).issue(GRANT)
    during = TokenSigner([NEW, OLD])
    assert during.read(before, now=NOW) == GRANT
    new = during.issue(GRANT)
    after = TokenSigner([NEW])
    assert after.read(new, now=NOW) == GRANT
    with pytest.raises(Unauthenticated):
        after.read(before, now=NOW)
    assert claims_of(new)["iss"] == ISSUER
    assert NEW not in str(header_of(new))


async def test_forged_tokens_open_nothing_over_http(chatbot: Chatbot) -> None:
    """The same forgeries of a real member's token get 401 from the service, each counted as an attempt."""
    await join(chatbot, "alice@example.com")
    _, tokens = await enter(chatbot, "alice@example.com")
    good = tokens["access_token"]
    assert await ask_as(chatbot, Authorization=bearer(good)) == 200
    for name, token in forgeries(good).items():
        assert await ask_as(chatbot, Authorization=bearer(token)) == 401, name
    widget = signed(good, aud=str(Audience.WIDGET), org="https://shop.example.com")
    headers = {"Authorization": bearer(widget), "Origin": "https://shop.example.com"}
    assert await ask_as(chatbot, **headers) == 401
    other = signed(good, sub=str(uuid4()))
    assert await ask_as(chatbot, Authorization=bearer(other)) == 401
    moved = signed(good, tid=str(chatbot.tenants["globex"].tenant_id))
    assert await ask_as(chatbot, Authorization=bearer(moved)) == 401


async def test_a_members_token_is_no_admin_token(chatbot: Chatbot) -> None:
    """The operators' API knows its own token only."""
    await join(chatbot, "alice@example.com", role="admin")
    _, tokens = await enter(chatbot, "alice@example.com")
    headers = {"Authorization": bearer(tokens["access_token"])}
    assert (await call(chatbot, "GET", "/api/admin/tenants", **headers))[0] == 401


async def test_secrets_are_compared_in_constant_time(
    chatbot: Chatbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The admin token, a link's secret and a refresh token each go through hmac.compare_digest."""
    await join(chatbot, "alice@example.com")
    _, tokens = await enter(chatbot, "alice@example.com")
    _, invited = await chatbot.admin("POST", "/tenants/acme/members", {"email": "bob@example.com"})
    compared: list[int] = []
    right = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        compared.append(len(one))
        return right(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    await chatbot.admin("GET", "/tenants")
    assert len(compared) == 1
    await call(chatbot, "POST", "/api/sign-in/refresh", {"refresh_token": tokens["refresh_token"]})
    assert compared[1:] == [32]
    body = {"invitation": invited["invitation"], "password": "a good long password"}
    await call(chatbot, "POST", "/api/invitations/accept", body)
    assert compared[2:] == [32, 32]


SECRET_WORDS = ("token", "secret", "password", "hash", "api_key", "digest")


def test_no_secret_is_compared_with_an_operator() -> None:
    """In the doors of authentication nothing that is called a secret stands beside == or !=."""
    source = Path(chatbot.__file__).parent
    doors = ["stages/authenticate.py", "stages/sign_in.py", "stages/embed.py", "store/invitations.py",
             "store/member_sessions.py", "core/credentials.py", "integrations/passwords.py"]  # fmt: skip
    for door in doors:
        for node in ast.walk(ast.parse((source / door).read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                text = ast.unparse(node)
                assert not any(word in text.lower() for word in SECRET_WORDS), f"{door}: {text}"
