"""The admin API: what operators and remediation steps may change. Its own token; audited; every answer says how to undo."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ConfigDict

from chatbot.core.audit import Operator
from chatbot.core.flags import KNOWN, Flag, check_flag_name
from chatbot.stages.authenticate import check_admin
from chatbot.stages.switch import switch
from chatbot.web import admin_shapes
from chatbot.web.state import address_of, admin_token_of, client_ip, outside_of


async def admin_only(request: Request, authorization: Annotated[str | None, Header()] = None) -> None:
    """Opens the routes that depend on it to whoever has the admin token. Raises Unauthenticated."""
    await check_admin(
        outside_of(request), authorization, token=admin_token_of(request), ip=client_ip(request)
    )


def operator_of(
    request: Request, x_on_behalf_of: Annotated[str | None, Header(max_length=80)] = None
) -> Operator:
    """Who is at the other end: the holder of the admin token, and for whom it says it acts."""
    return Operator(actor="admin", address=address_of(request), on_behalf_of=x_on_behalf_of)


By = Annotated[Operator, Depends(operator_of)]

router = APIRouter(prefix="/api/admin", dependencies=[Depends(admin_only)])


class FlagBody(BaseModel):
    """A flag's new value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    enabled: bool


@router.get("/flags", response_model=admin_shapes.Flags)
async def list_flags(request: Request) -> dict[str, Any]:
    """Every flag."""
    return {"flags": [_shown(flag) for flag in outside_of(request).flags.all().values()]}


@router.get("/flags/{name}", response_model=admin_shapes.Flag)
async def read_flag(request: Request, name: str) -> dict[str, Any]:
    """One flag as it is in force in this process."""
    return _shown(outside_of(request).flags.all()[check_flag_name(name)])


@router.put("/flags/{name}", response_model=admin_shapes.FlagChanged)
async def change_flag(request: Request, name: str, body: FlagBody, operator: By) -> dict[str, Any]:
    """Switches a flag, with PostgreSQL and Redis down too. In force in this process at once, in others within a second."""
    change = await switch(outside_of(request), name, operator, enabled=body.enabled)
    return {**_shown(change.flag), "previous": change.previous.enabled, "undo": change.undo()}


def _shown(flag: Flag) -> dict[str, Any]:
    return {
        "name": flag.name,
        "enabled": flag.enabled,
        "updated_at": flag.updated_at.isoformat() if flag.updated_at else None,
        "updated_by": flag.updated_by,
        "description": KNOWN[flag.name][1],
    }
