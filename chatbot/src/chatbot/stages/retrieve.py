"""Question → passages of the tenant."""

from __future__ import annotations

from uuid import UUID

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.passages import Passage
from chatbot.core.tenancy import TenantId, same_tenant
from chatbot.errors import StoreUnavailable, TenantIsolationViolation
from chatbot.stages.authenticate import Caller
from chatbot.stages.ports import Outside
from chatbot.store import audit
from chatbot.store.conversations import check_conversation
from chatbot.store.documents import search_passages
from chatbot.telemetry import ISOLATION_VIOLATIONS, SEARCH_SECONDS, tenant_label

log = structlog.get_logger()


async def retrieve(
    outside: Outside, caller: Caller, question: str, *, conversation_id: UUID | None
) -> tuple[Passage, ...]:
    """The passages that fit, best first. The connection is given back before this returns.

    Raises NotFound for a conversation of somebody else, TenantIsolationViolation, StoreUnavailable.
    """
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        if conversation_id is not None:
            await check_conversation(conn, tenant_id, conversation_id)
        with SEARCH_SECONDS.time():
            passages = await search_passages(conn, tenant_id, question, limit=outside.top_k)
    await withhold_foreign(outside, caller, [passage.tenant_id for passage in passages], source="retrieval")
    return tuple(passages)


async def withhold_foreign(outside: Outside, caller: Caller, owners: list[TenantId], *, source: str) -> None:
    """The detector: row-level security is silent, this is not. Raises TenantIsolationViolation for a foreign owner."""
    tenant_id = caller.tenant.tenant_id
    try:
        for owner in owners:
            same_tenant(owner, wanted=tenant_id, source=source)
    except TenantIsolationViolation:
        foreign = sorted({str(owner) for owner in owners if owner != tenant_id})
        ISOLATION_VIOLATIONS.labels(tenant_id=tenant_label(tenant_id), source=source).inc()
        log.error("tenant_isolation_violation", tenant_id=str(tenant_id), source=source, foreign=foreign)
        entry = AuditEntry(
            event=AuditEvent.TENANT_ISOLATION_VIOLATION,
            actor=caller.actor,
            tenant_id=tenant_id,
            detail={"source": source, "foreign": foreign},
        )
        try:
            await audit.record(outside.database, entry)
        except StoreUnavailable as error:
            log.error("audit_not_written", audit_event=entry.event, error=str(error))
        raise
