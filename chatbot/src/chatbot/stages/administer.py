"""A tenant's own affairs: members, API keys, widget keys. Each change and its audit entry are one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.caller import Caller, CallerKind, Role
from chatbot.core.credentials import (
    INVITATION_LASTS,
    TICKET_BYTES,
    WIDGET_KEY_BYTES,
    Ticket,
    check_email,
    widget_key,
)
from chatbot.core.origins import check_origin
from chatbot.core.quotas import Quota
from chatbot.core.tenancy import KEY_BYTES, ApiKey, api_key
from chatbot.errors import BadRequest, Conflict, NotFound
from chatbot.store import api_keys, members, widget_keys
from chatbot.store.audit import add_entry
from chatbot.store.db import Conn, Database
from chatbot.store.invitations import add_invitation
from chatbot.store.usage import hold_limits
from chatbot.store.widget_keys import WidgetKeyRow

MOST_ORIGINS = 50
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who changes something, from where, for whom as far as they say."""

    caller: Caller
    ip: str | None = None
    on_behalf_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A member, and the link's secret part, which is shown once; None where a password was set."""

    member_id: UUID
    email: str
    role: Role
    invitation: str | None


async def add_member(
    db: Database, by: By, *, email: str, role: Role, now: datetime, password_hash: str | None = None
) -> Invited:
    """A new member; without a password, with an invitation to choose one. Raises BadRequest, Conflict, QuotaReached."""
    email, tenant_id = check_email(email), by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        limits = await hold_limits(conn, tenant_id)
        limits.check(Quota.MEMBERS, used=len(await members.members_of(conn, tenant_id)), adding=1)
        member_id = await members.add_member(
            conn, tenant_id, email=email, role=role, password_hash=password_hash
        )
        invitation = None if password_hash else await _invite(conn, by, member_id, now=now)
        await _note(conn, by, AuditEvent.MEMBER_INVITED, member_id=str(member_id), role=role)
    return Invited(member_id=member_id, email=email, role=role, invitation=invitation)


async def invite_again(db: Database, by: By, member_id: UUID, *, now: datetime) -> Invited:
    """A new link by which the member chooses a password; the links from before are void. Raises NotFound."""
    tenant_id = by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        member = await members.member_of_id(conn, tenant_id, member_id)
        invitation = await _invite(conn, by, member_id, now=now)
        await _note(conn, by, AuditEvent.MEMBER_INVITED, member_id=str(member_id), role=member.role)
    return Invited(member_id=member_id, email=member.email, role=member.role, invitation=invitation)


async def change_role(db: Database, by: By, member_id: UUID, role: Role) -> Role:
    """Sets the role and returns the one before. Raises NotFound, Conflict when no admin would be left."""
    tenant_id = by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        await hold_limits(conn, tenant_id)
        member = await members.member_of_id(conn, tenant_id, member_id)
        if role is not Role.ADMIN:
            await _keep_an_admin(conn, by, member_id)
        await members.set_role(conn, tenant_id, member_id, role)
        await _note(
            conn, by, AuditEvent.MEMBER_CHANGED, member_id=str(member_id), role=role, previous=member.role
        )
    return member.role


async def remove_member(db: Database, by: By, member_id: UUID) -> None:
    """Deletes the member; what was signed in ends within a second. Raises NotFound, Conflict when no admin would be left."""
    tenant_id = by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        await hold_limits(conn, tenant_id)
        await members.member_of_id(conn, tenant_id, member_id)
        await _keep_an_admin(conn, by, member_id)
        await members.remove_member(conn, tenant_id, member_id)
        await _note(conn, by, AuditEvent.MEMBER_REMOVED, member_id=str(member_id))


async def member_named(db: Database, caller: Caller, email: str) -> UUID:
    """The id of the member with this address. Raises NotFound."""
    async with db.tenant(caller.tenant.tenant_id) as conn:
        member = await members.find_member(conn, caller.tenant.tenant_id, check_email(email))
    if member is None:
        raise NotFound(
            f"The tenant has no member {email[:80]}.",
            remedy="List them with: chatbot member list --tenant NAME.",
        )
    return member.id


async def create_key(db: Database, by: By, *, name: str, expires_at: datetime | None) -> ApiKey:
    """A new API key; its text is known at this moment only."""
    key = api_key(secrets.token_bytes(KEY_BYTES))
    tenant_id = by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        await api_keys.add_key(
            conn, tenant_id, key, name=_name(name), by=by.caller.actor, expires_at=expires_at
        )
        await _note(conn, by, AuditEvent.API_KEY_CREATED, key=key.prefix)
    return key


async def revoke_key(db: Database, by: By, prefix: str) -> None:
    """Ends a key for good, within a second everywhere. Raises NotFound."""
    tenant_id = by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        if await api_keys.revoke_key(conn, tenant_id, prefix):
            await _note(conn, by, AuditEvent.API_KEY_REVOKED, key=prefix)


async def create_widget_key(db: Database, by: By, *, name: str, origins: Sequence[str]) -> str:
    """A new publishable key for pages of these origins, and no other. Raises BadRequest."""
    listed = _origins(origins)
    key = widget_key(secrets.token_bytes(WIDGET_KEY_BYTES))
    tenant_id = by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        key_id = await widget_keys.add_widget_key(conn, tenant_id, key, name=_name(name), by=by.caller.actor)
        await widget_keys.set_origins(conn, tenant_id, key_id, listed)
        await _note(conn, by, AuditEvent.WIDGET_KEY_CREATED, key_id=str(key_id), origins=listed)
    return key


async def set_widget_origins(db: Database, by: By, key: str, origins: Sequence[str]) -> WidgetKeyRow:
    """Lets the key be used from these origins and no other; returns it as it was. Raises BadRequest, NotFound."""
    listed, tenant_id = _origins(origins), by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        before = await widget_keys.find_widget_key(conn, tenant_id, key)
        await widget_keys.set_origins(conn, tenant_id, before.id, listed)
        await _note(
            conn,
            by,
            AuditEvent.WIDGET_KEY_CHANGED,
            key_id=str(before.id),
            origins=listed,
            previous=before.origins,
        )
    return before


async def revoke_widget_key(db: Database, by: By, key: str) -> None:
    """Ends a widget's key for good, and its sessions within a second. Raises NotFound."""
    tenant_id = by.caller.tenant.tenant_id
    async with db.tenant(tenant_id) as conn:
        found = await widget_keys.find_widget_key(conn, tenant_id, key)
        if await widget_keys.revoke_widget_key(conn, tenant_id, found.id):
            await _note(conn, by, AuditEvent.WIDGET_KEY_REVOKED, key_id=str(found.id))


async def _invite(conn: Conn, by: By, member_id: UUID, *, now: datetime) -> str:
    ticket = Ticket(
        kind="inv",
        tenant_id=by.caller.tenant.tenant_id,
        row_id=uuid4(),
        secret=secrets.token_bytes(TICKET_BYTES),
    )
    await add_invitation(conn, ticket, member_id, now=now, expires_at=now + INVITATION_LASTS)
    return ticket.text


async def _keep_an_admin(conn: Conn, by: By, member_id: UUID) -> None:
    """A tenant must not lock itself out; an operator, who can let it in again, may do it."""
    if by.caller.kind is CallerKind.ADMIN:
        return
    found = await members.members_of(conn, by.caller.tenant.tenant_id)
    if not any(each.role is Role.ADMIN and each.id != member_id for each in found):
        raise Conflict("The tenant would have no admin left.", remedy="Make somebody else an admin first.")


async def _note(conn: Conn, by: By, event: AuditEvent, **detail: Any) -> None:
    if by.on_behalf_of is not None:
        detail["on_behalf_of"] = by.on_behalf_of
    entry = AuditEntry(
        event=event, actor=by.caller.actor, tenant_id=by.caller.tenant.tenant_id, ip=by.ip, detail=detail
    )
    await add_entry(conn, entry)


def _name(text: str) -> str:
    name = text.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise BadRequest(
            f"A key's name has 1 to {LONGEST_NAME} printable characters, '{text[:80]}' does not fit."
        )
    return name


def _origins(origins: Sequence[str]) -> list[str]:
    if len(origins) > MOST_ORIGINS:
        raise BadRequest(f"{len(origins)} origins are named; a key takes at most {MOST_ORIGINS}.")
    return sorted({check_origin(origin) for origin in origins})
