"""The detector: row-level security is silent, this is not.

Whatever is about to leave the store, the cache or the queue for a tenant goes through `withhold_foreign`. What belongs
to another is withheld, counted, logged, audited on a connection of its own, and the responder is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import structlog

from chatbot.core.caller import Caller
from chatbot.core.tenancy import TenantId, same_tenant
from chatbot.core.violation import Source, Violation, foreign_owners, moment
from chatbot.errors import ChatbotError, TenantIsolationViolation
from chatbot.stages.ports import Alarm, Detector, Held
from chatbot.store.security_outbox import keep_violation
from chatbot.telemetry import ISOLATION_VIOLATIONS, tenant_label

log = structlog.get_logger()


async def withhold_foreign(
    outside: Detector, caller: Caller, owners: Sequence[TenantId], *, source: Source
) -> None:
    """Raises TenantIsolationViolation, after the alarm, when one of the owners is not the caller's tenant."""
    tenant_id = caller.tenant.tenant_id
    try:
        for owner in owners:
            same_tenant(owner, wanted=tenant_id, source=source)
    except TenantIsolationViolation:
        await raise_alarm(
            outside,
            Violation(
                event_id=uuid4(),
                tenant_id=tenant_id,
                foreign=foreign_owners(owners, wanted=tenant_id),
                rows=sum(owner != tenant_id for owner in owners),
                source=source,
                actor=caller.actor,
                occurred_at=moment(outside.clocks.wall()),
                request_id=structlog.contextvars.get_contextvars().get("request_id"),
            ),
        )
        raise


async def raise_alarm(outside: Detector, violation: Violation) -> None:
    """Counts, logs, keeps. Never raises for a database that is gone: what cannot be kept yet is held in memory."""
    alarm = outside.alarm
    ISOLATION_VIOLATIONS.labels(tenant_id=tenant_label(violation.tenant_id), source=violation.source).inc()
    log.error("tenant_isolation_violation", tenant_id=str(violation.tenant_id), **violation.detail())
    held_back = alarm.throttle.admit(outside.clocks.monotonic())
    if held_back is None:
        return
    if len(alarm.held) == alarm.held.maxlen:
        log.critical("violation_not_held", event_id=str(alarm.held[0].violation.event_id))
    # In memory first: a caller that is cancelled now loses nothing.
    alarm.held.append(Held(violation=violation, held_back=held_back))
    alarm.wake.set()
    await keep_held(alarm)


async def keep_held(alarm: Alarm) -> bool:
    """Writes what is held in memory, on the alarm's own connection. Whether nothing is left."""
    async with alarm.keeping:
        while alarm.held:
            held = alarm.held[0]
            try:
                await keep_violation(
                    alarm.database,
                    held.violation,
                    held_back=held.held_back,
                    told_at=held.told_at,
                    counted=alarm.scraped,
                )
            except ChatbotError as error:
                log.error("violation_not_kept", held=len(alarm.held), error=str(error))
                return False
            if alarm.held and alarm.held[0] is held:
                alarm.held.popleft()
    return True
