"""Key → tenant. Every attempt is counted, every failure audited."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.tenancy import Tenant
from chatbot.errors import Forbidden, StoreUnavailable, Unauthenticated
from chatbot.stages.ports import Outside
from chatbot.store import audit
from chatbot.store.tenants import tenant_of_key
from chatbot.telemetry import AUTH_ATTEMPTS, OTHER_IP, UNKNOWN_TENANT, tenant_label

log = structlog.get_logger()

# A longer one is no key of ours: not worth hashing.
_LONGEST_KEY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose key it was, by which key."""

    tenant: Tenant
    actor: str


async def authenticate(outside: Outside, key: str | None, *, ip: str | None, claimed: str | None) -> Caller:
    """The tenant that the key opens. `claimed` is the tenant's name that the body gives, if any.

    Raises Unauthenticated, Forbidden when the key is another tenant's, StoreUnavailable.
    """
    if not key:
        # Not an attempt: nothing was tried.
        raise Unauthenticated("The header X-Api-Key is missing.")
    found = await tenant_of_key(outside.database, key) if len(key) <= _LONGEST_KEY else None
    if found is None:
        await refuse(outside, actor="unknown", ip=ip, detail={"by": "api_key"})
        raise Unauthenticated("The key in X-Api-Key opens nothing: it is unknown or was revoked.")
    tenant, prefix = found
    AUTH_ATTEMPTS.labels(status="success", tenant_id=tenant_label(tenant.tenant_id), ip=OTHER_IP).inc()
    actor = f"key {prefix}"
    if claimed is not None and claimed != tenant.name:
        entry = AuditEntry(
            event=AuditEvent.TENANT_MISMATCH,
            actor=actor,
            tenant_id=tenant.tenant_id,
            ip=ip,
            detail={"claimed": claimed[:80]},
        )
        await audit.record(outside.database, entry)
        raise Forbidden(f"The key is not one of tenant '{claimed[:80]}'.")
    return Caller(tenant=tenant, actor=actor)


async def check_admin(outside: Outside, header: str | None, *, token: str, ip: str | None) -> None:
    """Raises Unauthenticated unless the header is the bearer of the admin token. Compares in constant time."""
    scheme, _, given = (header or "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        AUTH_ATTEMPTS.labels(status="success", tenant_id=UNKNOWN_TENANT, ip=OTHER_IP).inc()
        return
    await refuse(outside, actor="unknown", ip=ip, detail={"by": "admin_token"})
    raise Unauthenticated(
        "The admin token is missing or wrong.",
        remedy="Send it as: Authorization: Bearer $CHATBOT_ADMIN_TOKEN.",
    )


async def refuse(outside: Outside, *, actor: str, ip: str | None, detail: dict[str, str]) -> None:
    """Counts and audits a failed attempt. A flood of them cannot fill the audit log: what was held back is counted."""
    AUTH_ATTEMPTS.labels(status="failed", tenant_id=UNKNOWN_TENANT, ip=OTHER_IP).inc()
    log.warning("auth_failure", ip=ip, **detail)
    held_back = outside.failure_audit.admit(outside.clocks.monotonic())
    if held_back is None:
        return
    entry = AuditEntry(
        event=AuditEvent.AUTH_FAILURE, actor=actor, ip=ip, detail={**detail, "held_back_before": held_back}
    )
    try:
        await audit.record(outside.database, entry)
    except StoreUnavailable as error:
        # The refusal stands whether or not it can be written down.
        log.error("audit_not_written", audit_event=entry.event, ip=ip, error=str(error))
