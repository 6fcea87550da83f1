"""The admin API of breakers, the answer cache and draining. Each change says how to undo it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from chatbot.core.breaker import Breaker, State
from chatbot.core.tenancy import Tenant
from chatbot.stages.operate import (
    Act,
    Changed,
    breakers_named,
    clear_cache,
    note_drain,
    work_breaker,
)
from chatbot.store.tenants import tenant_of_name
from chatbot.web import admin_shapes
from chatbot.web.admin import By, admin_only
from chatbot.web.state import drain_of, outside_of

router = APIRouter(prefix="/api/admin", dependencies=[Depends(admin_only)])

# A breaker is kept by each process for itself; a restart makes a new one.
SCOPE = "this process, until it restarts"


async def tenant_named(
    request: Request, tenant: Annotated[str | None, Query(max_length=80, pattern=r"^[^\x00]*$")] = None
) -> Tenant | None:
    """The tenant of `?tenant=NAME`; None stands for everybody. Raises NotFound."""
    return await tenant_of_name(outside_of(request).database, tenant) if tenant else None


OfTenant = Annotated[Tenant | None, Depends(tenant_named)]


@router.get("/breakers", response_model=admin_shapes.Breakers)
async def list_breakers(request: Request) -> dict[str, Any]:
    """Every breaker of this process: one for each provider, and for each other model that was asked."""
    return {
        "breakers": [
            _shown(request, breaker)
            for provider in outside_of(request).providers
            for breaker in provider.breakers.all().values()
        ],
        "scope": SCOPE,
    }


@router.get("/breakers/{name:path}", response_model=admin_shapes.Breaker)
async def read_breaker(request: Request, name: str) -> dict[str, Any]:
    """One breaker."""
    return _shown(request, breakers_named(outside_of(request), name)[0])


@router.post("/breakers/{name:path}/reset", response_model=admin_shapes.BreakerChanged)
async def reset_breaker(request: Request, name: str, by: By) -> dict[str, Any]:
    """Closes it now. It opens again by itself when calls fail."""
    change = await work_breaker(outside_of(request), name, Act.RESET, operator=by)
    if State.FORCED_OPEN in change.before.values():
        return _changed(request, name, change, undo=Act.FORCE_OPEN)
    return _changed(request, name, change, undo=None)


@router.post("/breakers/{name:path}/force-open", response_model=admin_shapes.BreakerChanged)
async def force_breaker_open(request: Request, name: str, by: By) -> dict[str, Any]:
    """Opens it until it is released or reset: the provider is not asked at all."""
    change = await work_breaker(outside_of(request), name, Act.FORCE_OPEN, operator=by)
    return _changed(request, name, change, undo=Act.RELEASE)


@router.post("/breakers/{name:path}/release", response_model=admin_shapes.BreakerChanged)
async def release_breaker(request: Request, name: str, by: By) -> dict[str, Any]:
    """Ends force-open: a few calls probe the provider, and it closes when they succeed."""
    change = await work_breaker(outside_of(request), name, Act.RELEASE, operator=by)
    return _changed(request, name, change, undo=Act.FORCE_OPEN)


@router.post("/cache/clear", response_model=admin_shapes.CacheCleared)
async def clear(request: Request, by: By, tenant: OfTenant) -> dict[str, Any]:
    """Forgets the kept answers of everybody, or of `?tenant=NAME`. Nothing is lost: answers are made anew."""
    return {
        "cleared": await clear_cache(outside_of(request), tenant, operator=by),
        "tenant": tenant.name if tenant else None,
        "undo": None,
        "undo_note": "There is nothing to undo: the cache fills again by itself.",
    }


@router.get("/drain", response_model=admin_shapes.Drain)
async def read_drain(request: Request) -> dict[str, Any]:
    """Whether this process drains, and how many streams are under way."""
    return _drain_shown(request)


@router.post("/drain", response_model=admin_shapes.DrainChanged)
async def begin_drain(request: Request, by: By) -> dict[str, Any]:
    """Takes no new question in this process: readiness says so, streams that run may end within the limit."""
    audited = await note_drain(outside_of(request), draining=True, operator=by)
    drain_of(request).begin()
    undo = {"method": "DELETE", "path": "/api/admin/drain", "body": None}
    return {**_drain_shown(request), "audited": audited, "undo": undo}


@router.delete("/drain", response_model=admin_shapes.DrainChanged)
async def end_drain(request: Request, by: By) -> dict[str, Any]:
    """Takes questions again."""
    audited = await note_drain(outside_of(request), draining=False, operator=by)
    drain_of(request).end()
    undo = {"method": "POST", "path": "/api/admin/drain", "body": None}
    return {**_drain_shown(request), "audited": audited, "undo": undo}


def _drain_shown(request: Request) -> dict[str, Any]:
    drain = drain_of(request)
    return {
        "draining": drain.draining,
        "running": drain.running,
        "limit_seconds": drain.limit.total_seconds(),
        "scope": SCOPE,
    }


def _changed(request: Request, name: str, change: Changed, *, undo: Act | None) -> dict[str, Any]:
    first = change.breakers[0]
    path = f"/api/admin/breakers/{name}/{undo}"
    return {
        **_shown(request, first),
        "previous": change.before[first.name],
        "changed": [breaker.name for breaker in change.breakers],
        "scope": SCOPE,
        "undo": {"method": "POST", "path": path, "body": None} if undo else None,
        "undo_note": f"POST {path}"
        if undo
        else "There is nothing to undo: it opens again by itself when calls fail.",
    }


def _shown(request: Request, breaker: Breaker) -> dict[str, Any]:
    now = outside_of(request).clocks.monotonic()
    calls, failures = breaker.counts(now)
    return {
        "name": breaker.name,
        "state": breaker.state,
        "calls": calls,
        "failures": failures,
        "retry_after_seconds": round(breaker.retry_after(now), 1),
    }
