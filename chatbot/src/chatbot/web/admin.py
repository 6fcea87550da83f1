"""The operators' API: its own token, every call in the audit log, every answer says how to undo it."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from chatbot.errors import NotAllowed
from chatbot.store import audit, flags
from chatbot.store.flags import Flag
from chatbot.web.state import Here


def admin_asking(request: Request, here: Here) -> str:
    """Who is asking, for the audit log. Raises NotAllowed."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(
        given.encode(), here.settings.admin_token.encode()
    ):
        raise NotAllowed("The operators' token is missing or wrong: see CHATBOT_ADMIN_TOKEN.")
    return "operator"


Admin = Annotated[str, Depends(admin_asking)]
router = APIRouter(prefix="/api/admin")


class Switch(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    enabled: bool


@router.get("/flags")
async def every(_: Admin, here: Here) -> list[dict[str, Any]]:
    async with here.house.parts.database.transaction() as conn:
        return [_body(flag) for flag in await flags.every(conn)]


@router.get("/flags/{name}")
async def one(name: str, _: Admin, here: Here) -> dict[str, Any]:
    async with here.house.parts.database.transaction() as conn:
        return _body(await flags.get(conn, name))


@router.put("/flags/{name}")
async def switch(name: str, body: Switch, actor: Admin, here: Here) -> dict[str, Any]:
    """Switches a flag. Doing it twice changes nothing more."""
    async with here.house.parts.database.transaction() as conn:
        before = await flags.get(conn, name)
        await flags.switch(conn, name, enabled=body.enabled, by=actor)
        detail = {"flag": name, "enabled": body.enabled, "previous": before.enabled}
        await audit.write(conn, "flag_switched", actor=actor, detail=detail)
    await here.watch.refresh()
    undo = {"method": "PUT", "path": f"/api/admin/flags/{name}", "body": {"enabled": before.enabled}}
    return {"name": name, "enabled": body.enabled, "previous": before.enabled, "undo": undo}


def _body(flag: Flag) -> dict[str, Any]:
    return {
        "name": flag.name,
        "enabled": flag.enabled,
        "updated_at": flag.updated_at,
        "updated_by": flag.updated_by,
    }
