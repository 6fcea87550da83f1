"""Members, API keys, widget keys and use of one tenant: for its own admins, and for operators.

The same routes stand under `/api/tenant`, where the signed-in admin's tenant is meant, and under
`/api/admin/tenants/{name}`, with the operators' token. Every change is audited.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chatbot.core.caller import Right, Role
from chatbot.core.credentials import LONGEST_EMAIL
from chatbot.core.quotas import day_of
from chatbot.errors import BadRequest
from chatbot.stages import administer
from chatbot.stages.administer import By, Invited
from chatbot.stages.authenticate import authenticate, operator_for
from chatbot.stages.oversee import Overview, overview
from chatbot.store.api_keys import keys_of
from chatbot.store.members import members_of
from chatbot.store.widget_keys import widget_keys_of
from chatbot.web import shapes
from chatbot.web.admin import admin_only
from chatbot.web.state import Shown, client_ip, outside_of

OnBehalfOf = Annotated[
    str | None, Header(alias="X-On-Behalf-Of"), Field(max_length=80, pattern=r"^[^\x00]*$")
]
TenantName = Annotated[str, Path(max_length=80, pattern=r"^[^\x00]*$")]


async def for_operator(request: Request, name: TenantName, on_behalf_of: OnBehalfOf = None) -> None:
    """An operator, acting for the tenant that the path names."""
    caller = await operator_for(outside_of(request), name)
    request.state.by = By(caller=caller, ip=client_ip(request), on_behalf_of=on_behalf_of)


async def for_tenant_admin(request: Request, shown: Shown) -> None:
    """A signed-in admin, acting for the own tenant."""
    caller = await authenticate(outside_of(request), shown, ip=client_ip(request))
    request.state.by = By(caller=caller.require(Right.ADMINISTER), ip=client_ip(request))


async def _asking(request: Request) -> By:
    # Without it a header was refused before it could be set; then the route is not reached.
    return cast("By", getattr(request.state, "by", None))


Asking = Annotated[By, Depends(_asking)]
router = APIRouter()


def include_accounts(app_router: APIRouter) -> None:
    """Puts the routes under both addresses."""
    app_router.include_router(
        router,
        prefix="/api/admin/tenants/{name}",
        dependencies=[Depends(admin_only), Depends(for_operator)],
    )
    app_router.include_router(router, prefix="/api/tenant", dependencies=[Depends(for_tenant_admin)])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Name = Annotated[str, Field(min_length=1, max_length=administer.LONGEST_NAME, pattern=r"^[^\x00]*$")]
Origins = Annotated[
    list[Annotated[str, Field(max_length=400, pattern=r"^[^\x00]*$")]],
    Field(max_length=administer.MOST_ORIGINS),
]


class MemberBody(_Body):
    """Whom to invite."""

    email: Annotated[str, Field(min_length=3, max_length=LONGEST_EMAIL, pattern=r"^[^\x00]*$")]
    role: Annotated[Role, Field(strict=False)] = Role.MEMBER


class RoleBody(_Body):
    """What a member shall be."""

    role: Annotated[Role, Field(strict=False)]


class KeyBody(_Body):
    """A name by which people know the key, and when it ends, if it does."""

    name: Name
    expires_at: Annotated[datetime, Field(strict=False)] | None = None


class WidgetKeyBody(_Body):
    """A name, and the origins of the pages that may embed the widget. An empty list lets nobody in."""

    name: Name
    origins: Origins = []


class OriginsBody(_Body):
    """The origins from which the key may be used, and no other."""

    origins: Origins


@router.get("", response_model=shapes.TenantOverview)
async def read_tenant(request: Request, by: Asking) -> dict[str, Any]:
    """The tenant with its quotas and its use of the last days."""
    outside = outside_of(request)
    today = day_of(outside.clocks.wall())
    return shown_overview(await overview(outside.database, by.caller.tenant, today=today))


@router.get("/members", response_model=shapes.Members)
async def list_members(request: Request, by: Asking) -> dict[str, Any]:
    """Every member, by address."""
    tenant_id = by.caller.tenant.tenant_id
    async with outside_of(request).database.tenant(tenant_id) as conn:
        found = await members_of(conn, tenant_id)
    return {
        "members": [
            {
                "id": str(each.id),
                "email": each.email,
                "role": each.role,
                "invited": each.password_hash is None,
                "created_at": each.created_at.isoformat(),
                "last_sign_in_at": each.last_sign_in_at.isoformat() if each.last_sign_in_at else None,
            }
            for each in found
        ]
    }


@router.post("/members", status_code=201, response_model=shapes.Invited)
async def post_member(request: Request, by: Asking, body: MemberBody) -> dict[str, Any]:
    """Invites somebody. The link is shown once: send it to them; it works once, for three days."""
    invited = await administer.add_member(
        outside_of(request).database, by, email=body.email, role=body.role, now=_now(request)
    )
    return _shown_invited(invited)


@router.post("/members/{member_id}/invitation", status_code=201, response_model=shapes.Invited)
async def post_invitation(request: Request, by: Asking, member_id: UUID) -> dict[str, Any]:
    """A new link by which the member chooses a password, also a forgotten one. Links from before are void."""
    database = outside_of(request).database
    return _shown_invited(await administer.invite_again(database, by, member_id, now=_now(request)))


@router.put("/members/{member_id}/role", response_model=shapes.RoleChanged)
async def put_role(request: Request, by: Asking, member_id: UUID, body: RoleBody) -> dict[str, Any]:
    """Makes a member an admin, or no longer one; in force within a second."""
    previous = await administer.change_role(outside_of(request).database, by, member_id, body.role)
    return {
        "member_id": str(member_id),
        "role": body.role,
        "previous": previous,
        "undo": {"method": "PUT", "path": request.url.path, "body": {"role": previous}},
    }


@router.delete("/members/{member_id}", status_code=204)
async def delete_member(request: Request, by: Asking, member_id: UUID) -> Response:
    """Removes a member; what was signed in ends within a second."""
    await administer.remove_member(outside_of(request).database, by, member_id)
    return Response(status_code=204)


@router.get("/keys", response_model=shapes.Keys)
async def list_keys(request: Request, by: Asking) -> dict[str, Any]:
    """Every API key, by prefix. The text of a key was shown once, when it was made."""
    tenant_id = by.caller.tenant.tenant_id
    async with outside_of(request).database.tenant(tenant_id) as conn:
        return {"keys": [_plain(asdict(each)) for each in await keys_of(conn, tenant_id)]}


@router.post("/keys", status_code=201, response_model=shapes.NewKey)
async def post_key(request: Request, by: Asking, body: KeyBody) -> dict[str, Any]:
    """A new API key. Its text is in this answer and nowhere else."""
    expires_at = _in_future(body.expires_at, _now(request))
    key = await administer.create_key(outside_of(request).database, by, name=body.name, expires_at=expires_at)
    path = f"{request.url.path}/{key.prefix}"
    return {
        "prefix": key.prefix,
        "api_key": key.text,
        "undo": {"method": "DELETE", "path": path, "body": None},
    }


@router.delete("/keys/{prefix}", status_code=204)
async def delete_key(
    request: Request, by: Asking, prefix: Annotated[str, Path(max_length=20, pattern=r"^[^\x00]*$")]
) -> Response:
    """Revokes an API key for good; it is refused within a second everywhere."""
    await administer.revoke_key(outside_of(request).database, by, prefix)
    return Response(status_code=204)


@router.get("/widget-keys", response_model=shapes.WidgetKeys)
async def list_widget_keys(request: Request, by: Asking) -> dict[str, Any]:
    """Every publishable key with the origins from which it may be used."""
    tenant_id = by.caller.tenant.tenant_id
    async with outside_of(request).database.tenant(tenant_id) as conn:
        return {"widget_keys": [_plain(asdict(each)) for each in await widget_keys_of(conn, tenant_id)]}


@router.post("/widget-keys", status_code=201, response_model=shapes.NewWidgetKey)
async def post_widget_key(request: Request, by: Asking, body: WidgetKeyBody) -> dict[str, Any]:
    """A new publishable key for pages of the origins named."""
    key = await administer.create_widget_key(
        outside_of(request).database, by, name=body.name, origins=body.origins
    )
    return {"key": key, "undo": {"method": "DELETE", "path": f"{request.url.path}/{key}", "body": None}}


WidgetKey = Annotated[str, Path(max_length=100, pattern=r"^[^\x00]*$")]


@router.put("/widget-keys/{key}/origins", response_model=shapes.OriginsChanged)
async def put_origins(request: Request, by: Asking, key: WidgetKey, body: OriginsBody) -> dict[str, Any]:
    """Lets the key be used from these origins and no other; in force within a second."""
    before = await administer.set_widget_origins(outside_of(request).database, by, key, body.origins)
    undo = {"method": "PUT", "path": request.url.path, "body": {"origins": before.origins}}
    return {"key": key, "previous": before.origins, "undo": undo}


@router.delete("/widget-keys/{key}", status_code=204)
async def delete_widget_key(request: Request, by: Asking, key: WidgetKey) -> Response:
    """Revokes a publishable key for good, and its sessions within a second."""
    await administer.revoke_widget_key(outside_of(request).database, by, key)
    return Response(status_code=204)


def shown_overview(found: Overview) -> dict[str, Any]:
    """The tenant with its quotas and use."""
    return {
        "name": found.state.tenant.name,
        "tenant_id": str(found.state.tenant.tenant_id),
        "created_at": found.state.created_at.isoformat(),
        "suspended_at": found.state.suspended_at.isoformat() if found.state.suspended_at else None,
        "suspended_reason": found.state.suspended_reason,
        "members": found.members,
        "quotas": found.limits.all(),
        "usage": [
            {"day": day.day.isoformat(), "requests": day.requests, "tokens": day.tokens}
            for day in found.usage
        ],
    }


def _shown_invited(invited: Invited) -> dict[str, Any]:
    return {
        "member_id": str(invited.member_id),
        "email": invited.email,
        "role": invited.role,
        "invitation": invited.invitation,
        # After the '#', so that it is in no log of a server.
        "link": f"/join#invitation={invited.invitation}",
    }


def _now(request: Request) -> datetime:
    return datetime.fromtimestamp(outside_of(request).clocks.wall(), UTC)


def _in_future(at: datetime | None, now: datetime) -> datetime | None:
    if at is None:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    if at <= now:
        raise BadRequest(f"The key would end at {at.isoformat()}, which has passed.")
    return at


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat()
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, UUID)
        else value
        for name, value in row.items()
    }
