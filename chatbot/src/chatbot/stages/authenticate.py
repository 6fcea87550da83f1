"""Credential → caller. The one door for every kind; every attempt is counted, every failure audited.

A key or token that was good is believed for a second (`core/known.py`), so that suspending a tenant, revoking a key and
signing out are in force within a second in every process.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.caller import Caller, CallerKind
from chatbot.core.known import LASTS
from chatbot.core.tenancy import Tenant, TenantId
from chatbot.core.tokens import Audience, Grant
from chatbot.errors import Forbidden, StoreUnavailable, TenantSuspended, Unauthenticated
from chatbot.stages.offend import count_failure
from chatbot.stages.ports import Outside
from chatbot.store import audit
from chatbot.store.api_keys import KeyOwner, note_use, owner_of_key
from chatbot.store.member_sessions import find_session
from chatbot.store.tenants import state_of_tenant, tenant_of_name
from chatbot.store.widget_keys import widget_key_holds
from chatbot.telemetry import AUTH_ATTEMPTS, OTHER_IP, UNKNOWN_TENANT, tenant_label

log = structlog.get_logger()

# A longer one is no key of ours: not worth hashing.
_LONGEST_KEY = 200
# When a key was last used is written down this often, not at every request.
NOTE_USE_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request shows: the header X-Api-Key, the header Authorization, and the Origin of the page."""

    api_key: str | None = None
    authorization: str | None = None
    origin: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(origin={self.origin!r}, ...)"

    @property
    def bearer(self) -> str | None:
        """The token of `Authorization: Bearer TOKEN`."""
        scheme, _, token = (self.authorization or "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None


async def authenticate(
    outside: Outside, shown: Credentials, *, ip: str | None, claimed: str | None = None
) -> Caller:
    """The caller that the credentials prove. `claimed` is the tenant's name that the body gives, if any.

    Raises Unauthenticated, TenantSuspended, Forbidden when the credential is another tenant's, StoreUnavailable.
    """
    secret = shown.api_key or shown.bearer
    if not secret:
        # Not an attempt: nothing was tried.
        raise Unauthenticated("Neither the header X-Api-Key nor a bearer token is there.")
    began = outside.clocks.monotonic()
    digest = hashlib.sha256(f"{shown.origin or ''} {secret}".encode()).digest()
    caller = outside.known.get(digest, now=began)
    if caller is None:
        caller, lasts = await _prove(outside, shown, secret, ip=ip)
        outside.known.put(digest, caller, since=began, at_most=lasts)
    count_success(caller.tenant.tenant_id)
    if claimed is not None and claimed != caller.tenant.name:
        entry = AuditEntry(
            event=AuditEvent.TENANT_MISMATCH,
            actor=caller.actor,
            tenant_id=caller.tenant.tenant_id,
            ip=ip,
            detail={"claimed": claimed[:80]},
        )
        await audit.record(outside.database, entry)
        raise Forbidden(f"The key is not one of tenant '{claimed[:80]}'.")
    return caller


async def _prove(
    outside: Outside, shown: Credentials, secret: str, *, ip: str | None
) -> tuple[Caller, float]:
    """The caller, and for how many seconds it may be believed."""
    if shown.api_key or secret.startswith("bitb_"):
        return await _by_key(outside, secret, ip=ip)
    now = outside.clocks.wall()
    try:
        grant = outside.tokens.read(secret, now=now)
    except Unauthenticated:
        await refuse(outside, actor="unknown", ip=ip, detail={"by": "token"})
        raise
    if grant.audience is Audience.MEMBER:
        caller = await _by_session(outside, grant, ip=ip)
    else:
        caller = await _by_widget_session(outside, grant, origin=shown.origin, ip=ip)
    return caller, min(LASTS, grant.expires_at - now)


async def _by_key(outside: Outside, text: str, *, ip: str | None) -> tuple[Caller, float]:
    owner = await _owner(outside, text) if len(text) <= _LONGEST_KEY else None
    now = datetime.fromtimestamp(outside.clocks.wall(), UTC)
    left = LASTS if owner is None or owner.expires_at is None else (owner.expires_at - now).total_seconds()
    if owner is None or owner.revoked_at is not None or left <= 0:
        tenant_id = owner.tenant.tenant_id if owner else None
        await refuse(outside, actor="unknown", ip=ip, detail={"by": "api_key"}, tenant_id=tenant_id)
        raise Unauthenticated("The API key opens nothing: it is unknown, was revoked, or has expired.")
    check_open(owner.tenant, owner.suspended_reason)
    if owner.last_used_at is None or now - owner.last_used_at >= NOTE_USE_EVERY:
        await _note_use(outside, owner, at=now)
    return Caller(tenant=owner.tenant, actor=f"key {owner.prefix}", kind=CallerKind.API_KEY), left


async def _owner(outside: Outside, text: str) -> KeyOwner | None:
    """Those who ask with the key at once ask together: when its second is over, that is everybody who uses it."""

    async def look_up(asked: Sequence[None]) -> Sequence[KeyOwner | None]:
        return [await owner_of_key(outside.database, text)] * len(asked)

    return await outside.together.run(("key", text), None, look_up)


async def _note_use(outside: Outside, owner: KeyOwner, *, at: datetime) -> None:
    """Once for all who use the key at once: each would wait for the others' change of the row to be on the disk."""

    async def note(asked: Sequence[None]) -> Sequence[None]:
        async with outside.database.tenant(owner.tenant.tenant_id) as conn:
            await note_use(conn, owner.tenant.tenant_id, owner.key_id, at=at)
        return asked

    await outside.together.run(("key used", owner.key_id), None, note)


async def _by_session(outside: Outside, grant: Grant, *, ip: str | None) -> Caller:
    async with outside.database.tenant(grant.tenant_id) as conn:
        session = await find_session(conn, grant.tenant_id, grant.session_id)
    now = datetime.fromtimestamp(outside.clocks.wall(), UTC)
    if (
        session is None
        or session.revoked_at is not None
        or session.expires_at <= now
        or session.member_id != grant.subject
    ):
        await refuse(outside, actor="unknown", ip=ip, detail={"by": "token"}, tenant_id=grant.tenant_id)
        raise Unauthenticated("The session has ended.", remedy="Sign in again.")
    tenant = Tenant(tenant_id=grant.tenant_id, name=session.tenant_name)
    check_open(tenant, session.suspended_reason)
    return Caller(
        tenant=tenant,
        actor=f"member {session.member_id}",
        kind=CallerKind.MEMBER,
        role=session.role,
        member_id=session.member_id,
        session_id=session.id,
    )


async def _by_widget_session(outside: Outside, grant: Grant, *, origin: str | None, ip: str | None) -> Caller:
    """The token is bound to its origin, and both must still be in the tenant's list."""
    state = None
    if origin is not None and origin == grant.origin:
        async with outside.database.tenant(grant.tenant_id) as conn:
            if await widget_key_holds(conn, grant.tenant_id, grant.subject, origin=origin):
                state = await state_of_tenant(conn, grant.tenant_id)
    if state is None:
        await refuse(outside, actor="unknown", ip=ip, detail={"by": "widget"}, tenant_id=grant.tenant_id)
        raise Unauthenticated(
            "The widget's session is not good here: it belongs to another origin, or its key is no longer in force.",
            remedy="Ask for a new session at POST /api/widget/sessions from a page whose origin is listed.",
        )
    check_open(state.tenant, state.suspended_reason)
    return Caller(
        tenant=state.tenant,
        actor=f"widget {grant.subject}",
        kind=CallerKind.WIDGET_SESSION,
        session_id=grant.session_id,
        origin=origin,
    )


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


async def operator_for(outside: Outside, tenant_name: str) -> Caller:
    """An operator, after `check_admin`, acting for a tenant. A suspended one too. Raises NotFound."""
    tenant = await tenant_of_name(outside.database, tenant_name)
    return Caller(tenant=tenant, actor="admin", kind=CallerKind.ADMIN)


async def refuse(
    outside: Outside,
    *,
    actor: str,
    ip: str | None,
    detail: dict[str, str],
    tenant_id: TenantId | None = None,
) -> None:
    """Counts and audits a failed attempt. A flood of them cannot fill the audit log: what was held back is counted."""
    label = UNKNOWN_TENANT if tenant_id is None else tenant_label(tenant_id)
    count_failure(outside, tenant_label=label, ip=ip)
    log.warning("auth_failure", ip=ip, **detail)
    held_back = outside.failure_audit.admit(outside.clocks.monotonic())
    if held_back is None:
        return
    entry = AuditEntry(
        event=AuditEvent.AUTH_FAILURE,
        actor=actor,
        ip=ip,
        tenant_id=tenant_id,
        detail={**detail, "held_back_before": held_back},
    )
    try:
        await audit.record(outside.database, entry)
    except StoreUnavailable as error:
        # The refusal stands whether or not it can be written down.
        log.error("audit_not_written", audit_event=entry.event, ip=ip, error=str(error))


def count_success(tenant_id: TenantId) -> None:
    """Counts an attempt that proved somebody."""
    AUTH_ATTEMPTS.labels(status="success", tenant_id=tenant_label(tenant_id), ip=OTHER_IP).inc()


def check_open(tenant: Tenant, suspended_reason: str | None) -> None:
    """Raises TenantSuspended for a tenant that an operator has closed."""
    if suspended_reason is not None:
        raise TenantSuspended(f"The tenant '{tenant.name}' is suspended: {suspended_reason}.")
