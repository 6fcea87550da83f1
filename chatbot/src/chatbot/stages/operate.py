"""What a person does by hand to a running chatbot: breakers, the cache, draining. Audited before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent, Operator
from chatbot.core.breaker import Breaker, State
from chatbot.core.tenancy import Tenant
from chatbot.errors import IllegalTransition, NotFound, StoreUnavailable
from chatbot.stages.ports import Outside
from chatbot.store import audit
from chatbot.telemetry import show_breaker

log = structlog.get_logger()


class Act(StrEnum):
    RESET = "reset"
    FORCE_OPEN = "force-open"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The breakers after the act, the first of them the one that was named, and each one's state before."""

    breakers: tuple[Breaker, ...]
    before: Mapping[str, State]


def breakers_named(outside: Outside, name: str) -> list[Breaker]:
    """The breakers that a person means. Raises NotFound."""
    found = [breaker for provider in outside.providers for breaker in provider.breakers.named(name)]
    if not found:
        known = [
            breaker.name for provider in outside.providers for breaker in provider.breakers.all().values()
        ]
        raise NotFound(
            f"There is no breaker '{name[:120]}' in this process.",
            remedy=f"The breakers are: {', '.join(known) or 'none, since no provider has a key'}.",
        )
    return found


async def work_breaker(outside: Outside, name: str, act: Act, *, operator: Operator) -> Changed:
    """Closes, opens or releases a breaker of this process. A provider's name stands for all of its models.

    Raises NotFound, IllegalTransition when there is nothing to release, StoreUnavailable: then nothing was done.
    """
    breakers = breakers_named(outside, name)
    before = {breaker.name: breaker.state for breaker in breakers}
    if act is Act.RELEASE:
        breakers = [breaker for breaker in breakers if breaker.state is State.FORCED_OPEN]
        if not breakers:
            raise IllegalTransition(
                f"Breaker '{name}' is {before[next(iter(before))]}: only one that was forced open can be released.",
                remedy="To close an open breaker before its time, use reset.",
            )
    detail = {"breaker": name, "act": act, "before": before}
    await _note(outside, AuditEvent.BREAKER_CHANGED, detail, operator=operator)
    now = outside.clocks.monotonic()
    for breaker in breakers:
        match act:
            case Act.RESET:
                breaker.reset(now)
            case Act.FORCE_OPEN:
                breaker.force_open(now)
            case Act.RELEASE:
                if breaker.state is State.FORCED_OPEN:  # not released by another meanwhile
                    breaker.release(now)
        show_breaker(breaker.name, breaker.state)
    return Changed(breakers=tuple(breakers), before=before)


async def clear_cache(outside: Outside, tenant: Tenant | None, *, operator: Operator) -> int:
    """Forgets the kept answers of a tenant, or of everybody. Raises CacheUnavailable, StoreUnavailable."""
    detail = {"scope": tenant.name if tenant else "everybody"}
    await _note(outside, AuditEvent.CACHE_CLEARED, detail, operator=operator, tenant=tenant)
    return await outside.cache.clear(tenant.tenant_id if tenant else None)


async def note_drain(outside: Outside, *, draining: bool, operator: Operator) -> bool:
    """Whether it could be audited. Draining goes on without: a database that is down must not keep a process from it."""
    try:
        await _note(outside, AuditEvent.DRAIN_CHANGED, {"draining": draining}, operator=operator)
    except StoreUnavailable as error:
        log.error("audit_not_written", audit_event=AuditEvent.DRAIN_CHANGED, error=str(error))
        return False
    return True


async def _note(
    outside: Outside,
    event: AuditEvent,
    detail: Mapping[str, Any],
    *,
    operator: Operator,
    tenant: Tenant | None = None,
) -> None:
    entry = AuditEntry(
        event=event,
        actor=operator.actor,
        tenant_id=tenant.tenant_id if tenant else None,
        ip=operator.ip,
        detail={**detail, "on_behalf_of": operator.on_behalf_of},
    )
    await audit.record(outside.database, entry)
    log.info(event.value, **detail)
