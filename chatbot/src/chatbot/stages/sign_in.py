"""E-mail and password → tokens; and what ends or renews them.

No connection is held while a password is hashed. Whoever defends against guessing stands before `sign_in`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.caller import Caller
from chatbot.core.credentials import (
    ACCESS_LASTS,
    SESSION_LASTS,
    TICKET_BYTES,
    Ticket,
    check_email,
    check_password,
    read_ticket,
    same_secret,
)
from chatbot.core.defence import account_of
from chatbot.core.tenancy import Tenant, TenantId
from chatbot.core.tokens import Audience, Grant
from chatbot.errors import Forbidden, NotFound, Unauthenticated
from chatbot.stages.authenticate import check_open, count_success, refuse
from chatbot.stages.defend import forgive
from chatbot.stages.ports import Outside
from chatbot.store.audit import add_entry
from chatbot.store.db import Conn
from chatbot.store.invitations import invited_member, use_invitation
from chatbot.store.member_sessions import (
    MemberSession,
    begin_session,
    find_session,
    forget_ended_sessions,
    renew_session,
    revoke_session,
    revoke_sessions,
)
from chatbot.store.members import (
    Member,
    find_member,
    member_of_id,
    note_sign_in,
    renew_hash,
    set_password,
)
from chatbot.store.tenants import state_of_tenant, tenant_of_name

_AGAIN = "Sign in again at POST /api/sign-in."


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What a member is given. The tokens are never shown by `repr`."""

    tenant: Tenant
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


async def sign_in(
    outside: Outside, *, tenant_name: str, email: str, password: str, ip: str | None
) -> SignedIn:
    """A new session. An unknown tenant, an unknown address and a wrong password look and cost the same.

    Raises Unauthenticated, TenantSuspended, BadRequest for what is no address, StoreUnavailable.
    """
    email = check_email(email)
    tenant, member = await _find(outside, tenant_name, email)
    kept = member.password_hash if member else None
    if (
        not await outside.passwords.verify(password, kept=kept)
        or member is None
        or kept is None
        or tenant is None
    ):
        tenant_id = tenant.tenant_id if tenant else None
        await refuse(outside, actor="unknown", ip=ip, detail={"by": "password"}, tenant_id=tenant_id)
        raise Unauthenticated(
            "The tenant, the e-mail address or the password is wrong.",
            remedy="Check all three; an admin of the tenant can send a new link for the password.",
        )
    renewed = await outside.passwords.hash(password) if outside.passwords.outdated(kept) else None
    async with outside.database.tenant(tenant.tenant_id) as conn:
        state = await state_of_tenant(conn, tenant.tenant_id)
        check_open(tenant, state.suspended_reason)
        if renewed is not None:
            await renew_hash(conn, tenant.tenant_id, member.id, kept=kept, renewed=renewed)
        signed_in = await _begin(outside, conn, tenant, member.id)
        await _note(conn, AuditEvent.SIGNED_IN, tenant.tenant_id, member.id, ip=ip)
    count_success(tenant.tenant_id)
    return signed_in


async def refresh(outside: Outside, text: str, *, ip: str | None) -> SignedIn:
    """The next pair of tokens. A refresh token works once: whoever shows a used one has copied it, and the session ends.

    Raises Unauthenticated, TenantSuspended, StoreUnavailable.
    """
    ticket = read_ticket(text, kind="ref")
    if ticket is None:
        raise await _refused(outside, None, ip=ip)
    tenant_id = ticket.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        session = await find_session(conn, tenant_id, ticket.row_id, lock=True)
        good = session is not None and _fits(session, ticket, _now(outside))
        if session is not None and not good and _used_up(session, ticket):
            await revoke_session(conn, tenant_id, session.id)
            await _note(conn, AuditEvent.REFRESH_TOKEN_REUSED, tenant_id, session.member_id, ip=ip)
        if session is not None and good:
            tenant = Tenant(tenant_id=tenant_id, name=session.tenant_name)
            check_open(tenant, session.suspended_reason)
            next_one = _ticket("ref", tenant_id, session.id)
            await renew_session(conn, tenant_id, session.id, refresh_hash=next_one.hash)
            return _signed_in(outside, tenant, session.member_id, next_one)
    raise await _refused(outside, tenant_id, ip=ip)


async def sign_out(outside: Outside, caller: Caller, *, ip: str | None) -> None:
    """Ends the caller's session; its tokens are refused within a second. Raises Forbidden for what has no session."""
    member_id, session_id = _member(caller)
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        await revoke_session(conn, tenant_id, session_id)
        await _note(conn, AuditEvent.SIGNED_OUT, tenant_id, member_id, ip=ip)


async def change_password(
    outside: Outside, caller: Caller, *, current: str, new: str, ip: str | None
) -> None:
    """Sets a new password; every other session of the member ends. Raises Unauthenticated, BadRequest."""
    member_id, session_id = _member(caller)
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        member = await member_of_id(conn, tenant_id, member_id)
    if not await outside.passwords.verify(current, kept=member.password_hash):
        await refuse(outside, actor=caller.actor, ip=ip, detail={"by": "password"}, tenant_id=tenant_id)
        raise Unauthenticated("The current password is wrong.", remedy="Type the password that you have now.")
    check_password(new, email=member.email, tenant_name=caller.tenant.name)
    made = await outside.passwords.hash(new)
    async with outside.database.tenant(tenant_id) as conn:
        await set_password(conn, tenant_id, member_id, made)
        await revoke_sessions(conn, tenant_id, member_id, but=session_id)
        await _note(conn, AuditEvent.PASSWORD_CHANGED, tenant_id, member_id, ip=ip)


async def accept_invitation(
    outside: Outside, text: str, *, password: str, ip: str | None
) -> tuple[str, Member]:
    """The tenant's name and the member, whose password is now this one; every session from before ends. The link works once.

    Raises Unauthenticated for a link that is unknown, used or too old, BadRequest for a bad password.
    """
    ticket, now = read_ticket(text, kind="inv"), _now(outside)
    member: Member | None = None
    tenant_name = ""
    if ticket is not None:
        async with outside.database.tenant(ticket.tenant_id) as conn:
            member_id = await invited_member(conn, ticket, now=now)
            if member_id is not None:
                member = await member_of_id(conn, ticket.tenant_id, member_id)
                tenant_name = (await state_of_tenant(conn, ticket.tenant_id)).tenant.name
    if ticket is None or member is None:
        raise await _bad_link(outside, ip=ip)
    check_password(password, email=member.email, tenant_name=tenant_name)
    made = await outside.passwords.hash(password)
    async with outside.database.tenant(ticket.tenant_id) as conn:
        used = await use_invitation(conn, ticket, now=now)
        if used:
            await set_password(conn, ticket.tenant_id, member.id, made)
            await revoke_sessions(conn, ticket.tenant_id, member.id)
            await _note(conn, AuditEvent.PASSWORD_CHANGED, ticket.tenant_id, member.id, ip=ip)
    if not used:  # by somebody who was quicker
        raise await _bad_link(outside, ip=ip)
    await forgive(outside, account_of(tenant=tenant_name, email=member.email))
    return tenant_name, member


async def _find(outside: Outside, tenant_name: str, email: str) -> tuple[Tenant | None, Member | None]:
    try:
        tenant = await tenant_of_name(outside.database, tenant_name)
    except NotFound:
        return None, None
    async with outside.database.tenant(tenant.tenant_id) as conn:
        return tenant, await find_member(conn, tenant.tenant_id, email)


async def _begin(outside: Outside, conn: Conn, tenant: Tenant, member_id: UUID) -> SignedIn:
    now = _now(outside)
    ticket = _ticket("ref", tenant.tenant_id, uuid4())
    await forget_ended_sessions(conn, tenant.tenant_id, member_id, now=now)
    await begin_session(
        conn,
        tenant.tenant_id,
        member_id,
        session_id=ticket.row_id,
        refresh_hash=ticket.hash,
        now=now,
        expires_at=now + SESSION_LASTS,
    )
    await note_sign_in(conn, tenant.tenant_id, member_id)
    return _signed_in(outside, tenant, member_id, ticket)


def _signed_in(outside: Outside, tenant: Tenant, member_id: UUID, ticket: Ticket) -> SignedIn:
    issued, lasts = int(outside.clocks.wall()), int(ACCESS_LASTS.total_seconds())
    grant = Grant(
        audience=Audience.MEMBER,
        tenant_id=tenant.tenant_id,
        subject=member_id,
        session_id=ticket.row_id,
        issued_at=issued,
        expires_at=issued + lasts,
    )
    token = outside.tokens.issue(grant)
    return SignedIn(tenant=tenant, access_token=token, refresh_token=ticket.text, expires_in=lasts)


def _ticket(kind: str, tenant_id: TenantId, row_id: UUID) -> Ticket:
    return Ticket(kind=kind, tenant_id=tenant_id, row_id=row_id, secret=secrets.token_bytes(TICKET_BYTES))


def _fits(session: MemberSession, ticket: Ticket, now: datetime) -> bool:
    in_force = session.revoked_at is None and session.expires_at > now
    return same_secret(ticket.hash, session.refresh_hash) and in_force


def _used_up(session: MemberSession, ticket: Ticket) -> bool:
    previous = session.previous_refresh_hash
    return previous is not None and same_secret(ticket.hash, previous)


def _member(caller: Caller) -> tuple[UUID, UUID]:
    if caller.member_id is None or caller.session_id is None:
        raise Forbidden(
            f"A caller of the kind '{caller.kind}' has no password and no session.", remedy=_AGAIN
        )
    return caller.member_id, caller.session_id


async def _refused(outside: Outside, tenant_id: TenantId | None, *, ip: str | None) -> Unauthenticated:
    await refuse(outside, actor="unknown", ip=ip, detail={"by": "refresh_token"}, tenant_id=tenant_id)
    return Unauthenticated(
        "The refresh token is unknown, was used already, or its session has ended.", remedy=_AGAIN
    )


async def _bad_link(outside: Outside, *, ip: str | None) -> Unauthenticated:
    await refuse(outside, actor="unknown", ip=ip, detail={"by": "invitation"})
    return Unauthenticated(
        "The link is unknown, was used already, or is too old.",
        remedy="Ask an admin of the tenant for a new link.",
    )


async def _note(
    conn: Conn, event: AuditEvent, tenant_id: TenantId, member_id: UUID, *, ip: str | None
) -> None:
    await add_entry(conn, AuditEntry(event=event, actor=f"member {member_id}", tenant_id=tenant_id, ip=ip))


def _now(outside: Outside) -> datetime:
    return datetime.fromtimestamp(outside.clocks.wall(), UTC)
