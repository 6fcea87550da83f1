"""Members sign in, renew their tokens, choose passwords, sign out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chatbot.core.credentials import LONGEST_EMAIL, LONGEST_PASSWORD
from chatbot.core.defence import attempt
from chatbot.stages.authenticate import authenticate
from chatbot.stages.defend import defended
from chatbot.stages.sign_in import (
    SignedIn,
    accept_invitation,
    change_password,
    refresh,
    sign_in,
    sign_out,
)
from chatbot.web import shapes
from chatbot.web.state import Shown, address_of, client_ip, outside_of

router = APIRouter(prefix="/api")

Text = Annotated[str, Field(min_length=1, max_length=LONGEST_EMAIL, pattern=r"^[^\x00]*$")]
Password = Annotated[str, Field(min_length=1, max_length=LONGEST_PASSWORD, pattern=r"^[^\x00]*$")]
TicketText = Annotated[str, Field(min_length=1, max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SignInBody(_Body):
    """Which tenant, who, and the password; `proof` is the payload of a solved challenge, where one was asked for."""

    tenant: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00]*$")]
    email: Text
    password: Password
    proof: Annotated[str, Field(max_length=4000)] | None = None


class RefreshBody(_Body):
    """The refresh token of the last answer. It works once."""

    refresh_token: TicketText


class PasswordBody(_Body):
    """The password that is, and the one that shall be."""

    current_password: Password
    new_password: Password


class AcceptBody(_Body):
    """What the link's address holds after `#invitation=`, and the password that the member chooses."""

    invitation: TicketText
    password: Password


@router.post("/sign-in", response_model=shapes.SignedIn)
async def post_sign_in(request: Request, body: SignInBody) -> dict[str, Any]:
    """A session: a short-lived access token, to be sent as `Authorization: Bearer`, and a refresh token."""
    outside = outside_of(request)
    tried = attempt(tenant=body.tenant, email=body.email, address=address_of(request))
    async with defended(outside, tried, proof=body.proof):
        signed_in = await sign_in(
            outside,
            tenant_name=body.tenant,
            email=body.email,
            password=body.password,
            ip=client_ip(request),
        )
    return _shown(signed_in)


@router.post("/sign-in/refresh", response_model=shapes.SignedIn)
async def post_refresh(request: Request, body: RefreshBody) -> dict[str, Any]:
    """The next pair of tokens. Showing a used refresh token ends the session: somebody has copied it."""
    return _shown(await refresh(outside_of(request), body.refresh_token, ip=client_ip(request)))


@router.post("/sign-out", status_code=204)
async def post_sign_out(request: Request, shown: Shown) -> Response:
    """Ends the session of the token; it is refused within a second everywhere."""
    outside, ip = outside_of(request), client_ip(request)
    await sign_out(outside, await authenticate(outside, shown, ip=ip), ip=ip)
    return Response(status_code=204)


@router.post("/password", status_code=204)
async def post_password(request: Request, body: PasswordBody, shown: Shown) -> Response:
    """Sets a new password; every other session of the member ends."""
    outside, ip = outside_of(request), client_ip(request)
    caller = await authenticate(outside, shown, ip=ip)
    await change_password(outside, caller, current=body.current_password, new=body.new_password, ip=ip)
    return Response(status_code=204)


@router.post("/invitations/accept", response_model=shapes.Joined)
async def post_accept(request: Request, body: AcceptBody) -> dict[str, Any]:
    """Sets the member's password by a link that works once; then sign in with it."""
    tenant, member = await accept_invitation(
        outside_of(request), body.invitation, password=body.password, ip=client_ip(request)
    )
    return {"tenant": tenant, "member_id": str(member.id), "email": member.email, "role": member.role}


@router.get("/me", response_model=shapes.Me)
async def get_me(request: Request, shown: Shown) -> dict[str, Any]:
    """Who the credential proves: which tenant, which kind of caller."""
    caller = await authenticate(outside_of(request), shown, ip=client_ip(request))
    return {
        "tenant": caller.tenant.name,
        "kind": caller.kind,
        "role": caller.role,
        "member_id": str(caller.member_id) if caller.member_id else None,
        "session_id": str(caller.session_id) if caller.session_id else None,
        "origin": caller.origin,
    }


def _shown(signed_in: SignedIn) -> dict[str, Any]:
    return {
        "tenant": signed_in.tenant.name,
        "access_token": signed_in.access_token,
        "token_type": "Bearer",
        "expires_in": signed_in.expires_in,
        "refresh_token": signed_in.refresh_token,
    }
