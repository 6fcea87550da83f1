"""Settings of answers, for everybody or one tenant: changed, audited; and the global ones kept fresh in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from chatbot.core.answer_settings import AnswerSettings, Layer, changed, undo_of
from chatbot.core.audit import AuditEntry, AuditEvent, Operator
from chatbot.core.tenancy import Tenant
from chatbot.stages.ports import Outside
from chatbot.store.answer_settings import load_global, load_tenant, save_global, save_tenant
from chatbot.store.audit import add_entry

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What is set in the layer, what is in force with it, and the change that takes this one back."""

    layer: Layer
    in_force: AnswerSettings
    undo: Mapping[str, Any]


async def tune(
    outside: Outside, tenant: Tenant | None, change: Mapping[str, Any], *, operator: Operator
) -> Tuned:
    """Changes the layer of the tenant, or of everybody; the change and its audit entry are one transaction.

    In force here at once, in other processes within a second. Raises BadRequest, StoreUnavailable.
    """
    known = outside.settings.environment.providers
    transaction = outside.database.system() if tenant is None else outside.database.tenant(tenant.tenant_id)
    async with transaction as conn:
        before = (
            await load_global(conn, lock=True)
            if tenant is None
            else await load_tenant(conn, tenant.tenant_id, lock=True)
        )
        after = changed(before, change, known=known)
        if tenant is None:
            await save_global(conn, after, by=operator.actor)
        else:
            await save_tenant(conn, tenant.tenant_id, after, by=operator.actor)
        undo = undo_of(before, change)
        await add_entry(
            conn,
            AuditEntry(
                event=AuditEvent.SETTINGS_CHANGED,
                actor=operator.actor,
                tenant_id=tenant.tenant_id if tenant else None,
                ip=operator.ip,
                detail={
                    "change": dict(change),
                    "previous": undo,
                    "scope": tenant.name if tenant else "everybody",
                    "on_behalf_of": operator.on_behalf_of,
                },
            ),
        )
    if tenant is None:
        outside.settings.layer = after
    log.info("settings_changed", scope=tenant.name if tenant else "everybody", change=dict(change))
    in_force = outside.settings.settings() if tenant is None else outside.settings.settings(after)
    return Tuned(layer=after, in_force=in_force, undo=undo)


async def settings_of(outside: Outside, tenant: Tenant) -> tuple[Layer, AnswerSettings]:
    """The tenant's own layer, and what is in force for it. Raises StoreUnavailable."""
    async with outside.database.tenant(tenant.tenant_id) as conn:
        layer = await load_tenant(conn, tenant.tenant_id)
    return layer, outside.settings.settings(layer)


async def refresh_settings(outside: Outside) -> None:
    """Takes the stored global settings over. Raises StoreUnavailable; the copy then stays as it is."""
    async with outside.database.system() as conn:
        outside.settings.layer = await load_global(conn)
