"""How people and pages come in: invitations, sign-ins, sessions of the widget, over HTTP."""

from __future__ import annotations

from typing import Any

from chatbot_house import Chatbot

PASSWORD = "correct horse battery staple"
PAGE = "https://shop.example.com"


async def call(
    chatbot: Chatbot, method: str, path: str, body: Any = None, **headers: str | None
) -> tuple[int, Any]:
    """Status and document of a request; headers by name with underscores, None left out."""
    sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    async with chatbot.http.request(method, f"{chatbot.url}{path}", json=body, headers=sent) as answer:
        return answer.status, await answer.json(content_type=None) if answer.content_length != 0 else None


def bearer(token: str) -> str:
    return f"Bearer {token}"


async def join(
    chatbot: Chatbot, email: str, *, tenant: str = "acme", role: str = "member", password: str = PASSWORD
) -> str:
    """An operator invites, the person follows the link: the member's id."""
    status, invited = await chatbot.admin(
        "POST", f"/tenants/{tenant}/members", {"email": email, "role": role}
    )
    assert status == 201, invited
    accept = {"invitation": invited["invitation"], "password": password}
    status, member = await call(chatbot, "POST", "/api/invitations/accept", accept)
    assert status == 200, member
    return member["member_id"]


async def enter(
    chatbot: Chatbot, email: str, *, tenant: str = "acme", password: str = PASSWORD
) -> tuple[int, Any]:
    """Signs in."""
    body = {"tenant": tenant, "email": email, "password": password}
    return await call(chatbot, "POST", "/api/sign-in", body)


async def signed_in(
    chatbot: Chatbot, email: str, *, tenant: str = "acme", role: str = "member"
) -> dict[str, str]:
    """A new member's headers."""
    await join(chatbot, email, tenant=tenant, role=role)
    status, tokens = await enter(chatbot, email, tenant=tenant)
    assert status == 200, tokens
    return {"Authorization": bearer(tokens["access_token"])}


async def widget_key(chatbot: Chatbot, *origins: str, tenant: str = "acme") -> str:
    status, made = await chatbot.admin(
        "POST", f"/tenants/{tenant}/widget-keys", {"name": "shop", "origins": list(origins)}
    )
    assert status == 201, made
    return made["key"]


async def widget_session(chatbot: Chatbot, key: str, origin: str | None) -> tuple[int, Any]:
    return await call(chatbot, "POST", "/api/widget/sessions", {"key": key}, Origin=origin)


async def ask_as(chatbot: Chatbot, **headers: str | None) -> int:
    """The status that a question gets with these headers."""
    body = {"message": "When is a refund possible?"}
    sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    async with chatbot.http.post(f"{chatbot.url}/api/chat", json=body, headers=sent) as answer:
        await answer.read()
        return answer.status
