"""Tenant → a ZIP of all its rows; tenant → nothing, with a receipt."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Protocol
from uuid import UUID

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.receipt import Receipt
from chatbot.core.tenancy import Tenant, TenantId
from chatbot.errors import CacheUnavailable, QueueUnavailable
from chatbot.stages.administer import By
from chatbot.store import audit
from chatbot.store.audit import add_entry
from chatbot.store.db import Database
from chatbot.store.holdings import KEPT, SECRETS, count_rows, erase_rows, holdings, rows_of
from chatbot.store.tenants import set_suspended

log = structlog.get_logger()

_PAGE = 500
ERASING = "it is being erased"


class Cache(Protocol):
    """Answers that are kept to be given again."""

    async def clear(self, tenant_id: TenantId | None) -> int: ...


class TenantJobs(Protocol):
    """The queue, as far as it holds jobs of a tenant."""

    async def forget_tenant(self, tenant_id: TenantId) -> int: ...


# Raises when one of the owners is not the tenant that is handed over.
Check = Callable[[Sequence[TenantId]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """The receipt, and where it is in the audit log: the position in the chain, and that entry's hash."""

    receipt: dict[str, Any]
    audit_id: int
    audit_hash: str


async def export(db: Database, by: By, target: IO[bytes], *, check: Check) -> dict[str, int]:
    """Writes a ZIP with a file of JSON lines for each table, all as of one moment; how many rows there are of each.

    Raises what `check` raises for the owner of a row, before it is written, and StoreUnavailable.
    """
    tenant = by.caller.tenant
    counts: dict[str, int] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        async with db.snapshot(tenant.tenant_id) as conn:
            for table in await holdings(conn):
                counts[table.name] = 0
                with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as file:
                    page: list[bytes] = []
                    async for row in rows_of(conn, tenant.tenant_id, table):
                        await check([TenantId(UUID(row[table.key]))])
                        page.append(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                        counts[table.name] += 1
                        if len(page) == _PAGE:
                            await asyncio.to_thread(file.write, b"".join(page))
                            page.clear()
                    await asyncio.to_thread(file.write, b"".join(page))
        archive.writestr("manifest.json", json.dumps(_manifest(tenant, counts), indent=2))
    entry = AuditEntry(
        event=AuditEvent.TENANT_EXPORTED,
        actor=by.caller.actor,
        tenant_id=tenant.tenant_id,
        ip=by.ip,
        detail={"rows": sum(counts.values()), "on_behalf_of": by.on_behalf_of},
    )
    await audit.record(db, entry)
    return counts


async def erase(db: Database, by: By, *, cache: Cache, jobs: TenantJobs, now: datetime) -> Erased:
    """Deletes all that the tenant has: rows of every table, cached answers, queued jobs. It cannot be undone.

    The tenant is suspended first, so that nothing new begins, and what is shared is emptied before and after the rows:
    an answer that was under way may have been cached meanwhile. Raises CacheUnavailable, QueueUnavailable and
    StoreUnavailable, with no row deleted and the tenant suspended: call it again.
    """
    tenant = by.caller.tenant
    async with db.tenant(tenant.tenant_id) as conn:
        await set_suspended(conn, tenant.tenant_id, reason=ERASING)
    shared = await _empty_shared(tenant.tenant_id, cache, jobs)
    async with db.tenant(tenant.tenant_id) as conn:
        rows = await erase_rows(conn, tenant.tenant_id)
        receipt = Receipt(
            tenant=tenant,
            erased_at=now,
            erased_by=by.caller.actor,
            rows=rows,
            shared=shared,
            kept={
                f"{name} ({count} rows)": KEPT[name]
                for name, count in (await count_rows(conn, tenant.tenant_id)).items()
                if name in KEPT
            },
        ).body()
        entry = AuditEntry(
            event=AuditEvent.TENANT_ERASED,
            actor=by.caller.actor,
            tenant_id=tenant.tenant_id,
            ip=by.ip,
            detail={**receipt, "on_behalf_of": by.on_behalf_of},
        )
        await add_entry(conn, entry)
        audit_id, audit_hash = await audit.last_of(conn, tenant.tenant_id)
    try:
        await _empty_shared(tenant.tenant_id, cache, jobs)
    except (CacheUnavailable, QueueUnavailable) as error:
        # What an answer under way may have left there can never be asked for, and expires by itself.
        log.error("erased_but_shared_not_checked", tenant_id=str(tenant.tenant_id), error=str(error))
    return Erased(receipt=receipt, audit_id=audit_id, audit_hash=audit_hash)


async def _empty_shared(tenant_id: TenantId, cache: Cache, jobs: TenantJobs) -> dict[str, int]:
    return {"jobs": await jobs.forget_tenant(tenant_id), "cached_answers": await cache.clear(tenant_id)}


def _manifest(tenant: Tenant, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "tenant": tenant.name,
        "tenant_id": str(tenant.tenant_id),
        "rows": counts,
        "left_out": f"columns that follow from others, and the hashes {', '.join(SECRETS)}",
    }
