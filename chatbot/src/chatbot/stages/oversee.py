"""Tenants as operators handle them: create, suspend, resume, set quotas, look. Audited in the same transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.quotas import Limits, Quota, Usage
from chatbot.core.tenancy import KEY_BYTES, ApiKey, Tenant, TenantState, api_key, check_tenant_name
from chatbot.errors import BadRequest
from chatbot.stages.administer import By
from chatbot.store import audit, usage
from chatbot.store.audit import add_entry
from chatbot.store.db import Conn, Database
from chatbot.store.members import members_of
from chatbot.store.tenants import create_tenant, set_suspended, state_of_tenant

LONGEST_REASON = 300
USAGE_DAYS = 30
MOST_OF_ANYTHING = 2**60


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A tenant with its quotas, and what it used on each of the last days that saw any use."""

    state: TenantState
    limits: Limits
    usage: list[Usage]
    members: int


async def create(
    db: Database, name: str, *, actor: str, ip: str | None = None, on_behalf_of: str | None = None
) -> tuple[Tenant, ApiKey]:
    """A new tenant with its first API key, whose text is known at this moment only. Raises BadRequest, Conflict."""
    key = api_key(secrets.token_bytes(KEY_BYTES))
    tenant = await create_tenant(db, check_tenant_name(name), key, by=actor)
    detail = {"name": name, "key": key.prefix}
    if on_behalf_of is not None:
        detail["on_behalf_of"] = on_behalf_of
    entry = AuditEntry(
        event=AuditEvent.TENANT_CREATED, actor=actor, tenant_id=tenant.tenant_id, ip=ip, detail=detail
    )
    await audit.record(db, entry)
    return tenant, key


async def suspend(db: Database, by: By, *, reason: str) -> bool:
    """Closes the tenant for every kind of caller, within a second everywhere. False when it was closed already.

    Raises BadRequest unless a reason is given: it is shown to the tenant.
    """
    reason = reason.strip().rstrip(".")
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise BadRequest(
            f"A reason of 1 to {LONGEST_REASON} printable characters is needed: the tenant is shown it."
        )
    return await _set_suspended(db, by, reason)


async def resume(db: Database, by: By) -> bool:
    """Opens the tenant again. False when it was open already."""
    return await _set_suspended(db, by, None)


async def set_quotas(db: Database, by: By, changes: Mapping[Quota, int | None]) -> dict[Quota, int | None]:
    """Sets quotas, None for the default, and returns what was set before. Raises BadRequest for a negative one."""
    for quota, value in changes.items():
        if value is not None and not 0 <= value <= MOST_OF_ANYTHING:
            raise BadRequest(f"{quota} cannot be {value}: 0 or more.")
    tenant_id = by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        before = await usage.hold_limits(conn, tenant_id)
        await usage.set_quotas(conn, tenant_id, changes, by=by.caller.actor)
        previous = {quota: before.values.get(quota) for quota in changes}
        await _note(conn, by, AuditEvent.QUOTAS_CHANGED, changes=dict(changes), previous=previous)
    return previous


async def overview(db: Database, tenant: Tenant, *, today: date) -> Overview:
    """The tenant as it stands. Raises NotFound."""
    async with db.tenant(tenant.tenant_id) as conn:
        return Overview(
            state=await state_of_tenant(conn, tenant.tenant_id),
            limits=await usage.limits_of(conn, tenant.tenant_id),
            usage=await usage.usage_since(conn, tenant.tenant_id, today - timedelta(days=USAGE_DAYS)),
            members=len(await members_of(conn, tenant.tenant_id)),
        )


async def _set_suspended(db: Database, by: By, reason: str | None) -> bool:
    tenant_id = by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        changed = await set_suspended(conn, tenant_id, reason=reason)
        if changed and reason is not None:
            await _note(conn, by, AuditEvent.TENANT_SUSPENDED, reason=reason)
        elif changed:
            await _note(conn, by, AuditEvent.TENANT_RESUMED)
    return changed


async def _note(conn: Conn, by: By, event: AuditEvent, **detail: Any) -> None:
    if by.on_behalf_of is not None:
        detail["on_behalf_of"] = by.on_behalf_of
    entry = AuditEntry(
        event=event, actor=by.caller.actor, tenant_id=by.caller.tenant.tenant_id, ip=by.ip, detail=detail
    )
    await add_entry(conn, entry)
