"""Publishable key and origin → a short session of the widget."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from chatbot.core.credentials import WIDGET_SESSION_LASTS
from chatbot.core.tokens import Audience, Grant
from chatbot.errors import Forbidden, Unauthenticated
from chatbot.stages.authenticate import check_open, count_success, refuse
from chatbot.stages.ports import Outside
from chatbot.store.widget_keys import origin_is_listed, owner_of_widget_key

LONGEST_WIDGET_KEY = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WidgetSession:
    """A session whose id this server chose, so that nobody gets new limits by inventing one."""

    session_id: UUID
    token: str = field(repr=False)
    expires_in: int


async def open_widget_session(
    outside: Outside, key: str, *, origin: str | None, ip: str | None
) -> WidgetSession:
    """A session bound to the origin. Scheme, host and port are compared exactly; an empty list lets nobody in.

    Raises Unauthenticated for a key that opens nothing, Forbidden for an origin that is not listed, TenantSuspended.
    """
    owner = await owner_of_widget_key(outside.database, key) if len(key) <= LONGEST_WIDGET_KEY else None
    if owner is None or owner.revoked_at is not None:
        tenant_id = owner.tenant.tenant_id if owner else None
        await refuse(outside, actor="unknown", ip=ip, detail={"by": "widget_key"}, tenant_id=tenant_id)
        raise Unauthenticated(
            "The widget's key opens nothing: it is unknown or was revoked.",
            remedy="Make one with: chatbot widget create --tenant NAME --origin https://www.example.com.",
        )
    tenant = owner.tenant
    if origin is None or origin not in owner.origins:
        detail = {"by": "widget_key", "origin": (origin or "none")[:200]}
        await refuse(outside, actor="unknown", ip=ip, detail=detail, tenant_id=tenant.tenant_id)
        raise Forbidden(
            f"The widget may not be used from the origin '{(origin or 'none')[:200]}'.",
            remedy="An admin of the tenant can list it: chatbot widget origins --tenant NAME KEY ORIGIN...",
        )
    check_open(tenant, owner.suspended_reason)
    issued, lasts = int(outside.clocks.wall()), int(WIDGET_SESSION_LASTS.total_seconds())
    grant = Grant(
        audience=Audience.WIDGET,
        tenant_id=tenant.tenant_id,
        subject=owner.widget_key_id,
        session_id=uuid4(),
        issued_at=issued,
        expires_at=issued + lasts,
        origin=origin,
    )
    count_success(tenant.tenant_id)
    return WidgetSession(session_id=grant.session_id, token=outside.tokens.issue(grant), expires_in=lasts)


async def may_embed(outside: Outside, origin: str) -> bool:
    """Whether a page of this origin may call the widget's routes at all: for the preflight, which shows no key."""
    return await origin_is_listed(outside.database, origin)
