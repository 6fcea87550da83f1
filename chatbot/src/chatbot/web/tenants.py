"""The operators' API of tenants: create, list, suspend, resume, quotas, export, erase. Each change says how to undo it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from chatbot.core.quotas import Quota
from chatbot.core.tenancy import TenantId, TenantState
from chatbot.core.violation import Source
from chatbot.errors import BadRequest
from chatbot.stages.administer import By
from chatbot.stages.hand_over import erase, export
from chatbot.stages.oversee import create, resume, set_quotas, suspend
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.tenants import all_tenants
from chatbot.web import admin_shapes
from chatbot.web.accounts import Asking, OnBehalfOf, for_operator
from chatbot.web.admin import admin_only
from chatbot.web.state import client_ip, outside_of

router = APIRouter(prefix="/api/admin/tenants", dependencies=[Depends(admin_only)])
named = APIRouter(prefix="/{name}", dependencies=[Depends(for_operator)])

# So much of an export stays in memory; the rest is in a file without a name, which ends with the answer.
IN_MEMORY = 8 * 1024 * 1024
_PIECE = 256 * 1024


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Text = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]
Amount = Annotated[int, Field(ge=0, le=2**60)]


class TenantBody(_Body):
    """The name: a-z, 0-9 and hyphens inside."""

    name: Text


class SuspendBody(_Body):
    """Why: the tenant is shown it."""

    reason: Text


class QuotasBody(_Body):
    """What to change. Left out: stays. Null: back to the default."""

    tokens_per_day: Amount | None = None
    requests_per_day: Amount | None = None
    documents: Amount | None = None
    bytes: Amount | None = None
    members: Amount | None = None


class EraseBody(_Body):
    """The tenant's name once more: an erasure cannot be undone."""

    confirm: Text


@router.get("", response_model=admin_shapes.Tenants)
async def list_tenants(request: Request) -> dict[str, Any]:
    """Every tenant by name, and whether it is open."""
    found = await all_tenants(outside_of(request).database)
    return {"tenants": [_shown(state) for state in found]}


@router.post("", status_code=201, response_model=admin_shapes.NewTenant)
async def post_tenant(request: Request, body: TenantBody, on_behalf_of: OnBehalfOf = None) -> dict[str, Any]:
    """A new tenant. The text of its first API key is in this answer and nowhere else."""
    tenant, key = await create(
        outside_of(request).database,
        body.name,
        actor="admin",
        ip=client_ip(request),
        on_behalf_of=on_behalf_of,
    )
    undo = {
        "method": "POST",
        "path": f"{request.url.path}/{tenant.name}/erase",
        "body": {"confirm": tenant.name},
    }
    return {
        "name": tenant.name,
        "tenant_id": str(tenant.tenant_id),
        "api_key": key.text,
        "prefix": key.prefix,
        "undo": undo,
    }


@named.post("/suspend", response_model=admin_shapes.Suspension)
async def post_suspend(request: Request, by: Asking, body: SuspendBody) -> dict[str, Any]:
    """The kill switch: every kind of caller is refused, and answers under way end, within a second, everywhere."""
    changed = await suspend(outside_of(request).database, by, reason=body.reason)
    path = request.url.path.removesuffix("suspend") + "resume"
    return {
        "name": by.caller.tenant.name,
        "suspended": True,
        "changed": changed,
        "undo": {"method": "POST", "path": path, "body": None},
    }


@named.post("/resume", response_model=admin_shapes.Suspension)
async def post_resume(request: Request, by: Asking) -> dict[str, Any]:
    """Opens a suspended tenant again."""
    changed = await resume(outside_of(request).database, by)
    path = request.url.path.removesuffix("resume") + "suspend"
    undo = {"method": "POST", "path": path, "body": {"reason": "suspended again"}}
    return {"name": by.caller.tenant.name, "suspended": False, "changed": changed, "undo": undo}


@named.put("/quotas", response_model=admin_shapes.QuotasChanged)
async def put_quotas(request: Request, by: Asking, body: QuotasBody) -> dict[str, Any]:
    """Sets the budget of the day and what may be kept; in force with the next request."""
    changes = {Quota(name): getattr(body, name) for name in body.model_fields_set}
    if not changes:
        raise BadRequest("Nothing is named to change.", remedy=f"Name one of: {', '.join(Quota)}.")
    previous = await set_quotas(outside_of(request).database, by, changes)
    undo = {"method": "PUT", "path": request.url.path, "body": previous}
    return {"quotas": changes, "previous": previous, "undo": undo}


_ZIP = {
    "description": "The archive.",
    "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
}


@named.get("/export", response_class=StreamingResponse, responses={200: _ZIP})
async def get_export(request: Request, by: Asking) -> StreamingResponse:
    """A ZIP of all that the tenant has: a file of JSON lines for each table, as of one moment."""
    outside = outside_of(request)

    async def check(owners: Sequence[TenantId]) -> None:
        await withhold_foreign(outside, by.caller, owners, source=Source.EXPORT)

    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed when the answer ends
    try:
        await export(outside.database, by, file, check=check)
    except BaseException:
        file.close()
        raise
    disposition = f'attachment; filename="{by.caller.tenant.name}.zip"'
    return StreamingResponse(
        _pieces(file), media_type="application/zip", headers={"Content-Disposition": disposition}
    )


@named.post("/erase", response_model=admin_shapes.Erased)
async def post_erase(request: Request, by: Asking, body: EraseBody) -> dict[str, Any]:
    """Deletes the tenant with all that it has, for good. The receipt is also in the audit log."""
    _confirmed(by, body.confirm)
    outside = outside_of(request)
    now = datetime.fromtimestamp(outside.clocks.wall(), UTC)
    erased = await erase(outside.database, by, cache=outside.cache, jobs=outside.jobs, now=now)
    return {
        "receipt": erased.receipt,
        "audit_entry": erased.audit_id,
        "audit_hash": erased.audit_hash,
        "undo": None,
    }


def _confirmed(by: By, name: str) -> None:
    if name != by.caller.tenant.name:
        raise BadRequest(
            f"The body confirms '{name[:80]}', the path names '{by.caller.tenant.name}'; nothing was erased.",
            remedy="Give the name of the tenant in 'confirm'.",
        )


async def _pieces(file: IO[bytes]) -> AsyncGenerator[bytes]:
    try:
        file.seek(0)
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
    finally:
        file.close()


def _shown(state: TenantState) -> dict[str, Any]:
    return {
        "name": state.tenant.name,
        "tenant_id": str(state.tenant.tenant_id),
        "created_at": state.created_at.isoformat(),
        "suspended_at": state.suspended_at.isoformat() if state.suspended_at else None,
        "suspended_reason": state.suspended_reason,
    }


router.include_router(named)
